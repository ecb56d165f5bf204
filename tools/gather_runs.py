#!/usr/bin/env python
"""The command ``mmext gather-runs``."""

from mmext.commands import run

if __name__ == '__main__':
    run('gather-runs')
