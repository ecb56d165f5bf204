#!/usr/bin/env python
"""The command ``mmext train``."""

from mmext.commands import run

if __name__ == '__main__':
    run('train')
