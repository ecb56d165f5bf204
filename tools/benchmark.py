#!/usr/bin/env python
"""The command ``mmext benchmark``."""

from mmext.commands import run

if __name__ == '__main__':
    run('benchmark')
