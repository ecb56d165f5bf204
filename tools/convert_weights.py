#!/usr/bin/env python
"""The command ``mmext convert-weights``."""

from mmext.commands import run

if __name__ == '__main__':
    run('convert-weights')
