#!/usr/bin/env python
"""The command ``mmext signal-view``."""

from mmext.commands import run

if __name__ == '__main__':
    run('signal-view')
