#!/usr/bin/env python
"""The command ``mmext export``."""

from mmext.commands import run

if __name__ == '__main__':
    run('export')
