#!/usr/bin/env python
"""The command ``mmext recognize``."""

from mmext.commands import run

if __name__ == '__main__':
    run('recognize')
