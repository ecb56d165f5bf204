#!/usr/bin/env python
"""The command ``mmext check-data``."""

from mmext.commands import run

if __name__ == '__main__':
    run('check-data')
