#!/usr/bin/env python
"""The command ``mmext plot``."""

from mmext.commands import run

if __name__ == '__main__':
    run('plot')
