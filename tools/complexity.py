#!/usr/bin/env python
"""The command ``mmext complexity``."""

from mmext.commands import run

if __name__ == '__main__':
    run('complexity')
