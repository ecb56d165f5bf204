#!/usr/bin/env python
"""The command ``mmext test``."""

from mmext.commands import run

if __name__ == '__main__':
    run('test')
