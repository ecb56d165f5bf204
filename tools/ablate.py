#!/usr/bin/env python
"""The command ``mmext ablate``."""

from mmext.commands import run

if __name__ == '__main__':
    run('ablate')
