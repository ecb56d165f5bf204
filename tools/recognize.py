#!/usr/bin/env python
"""The command ``mmext predict``."""

from mmext.commands import run

if __name__ == '__main__':
    run('predict')
