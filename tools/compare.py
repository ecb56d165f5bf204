#!/usr/bin/env python
"""The command ``mmext compare``."""

from mmext.commands import run

if __name__ == '__main__':
    run('compare')
