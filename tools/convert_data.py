#!/usr/bin/env python
"""The command ``mmext convert-data``."""

from mmext.commands import run

if __name__ == '__main__':
    run('convert-data')
