#!/usr/bin/env python
"""The command ``mmext browse``."""

from mmext.commands import run

if __name__ == '__main__':
    run('browse')
