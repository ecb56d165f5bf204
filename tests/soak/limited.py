"""Runs a script of tools/ in a process whose files can't get larger than so many bytes: limited.py BYTES SCRIPT ..."""

from __future__ import annotations

import os
import resource
import runpy
import sys

if __name__ == '__main__':
    limit, *command = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
    sys.argv = command
    sys.path[0] = os.path.dirname(command[0])
    runpy.run_path(command[0], run_name='__main__')
