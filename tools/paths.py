#!/usr/bin/env python
"""The command ``mmext paths``."""

from mmext.commands import run

if __name__ == '__main__':
    run('paths')
