#!/usr/bin/env python
"""The command ``mmext prepare-video``."""

from mmext.commands import run

if __name__ == '__main__':
    run('prepare-video')
