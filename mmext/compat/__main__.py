"""Runs a script of another project with the repairs in place before it imports anything.

    python -m mmext.compat SCRIPT [ARGUMENT ...]

Most tools of mmdet and mmaction2 read a config of mmext before they need a repair, and can be called directly. A few
import all of mmaction2 first, such as its analysis_tools/confusion_matrix.py.
"""

from __future__ import annotations

import os
import runpy
import sys

import mmext  # noqa: F401  installs the repairs
from mmext.errors import UserError


def main() -> None:
    """Runs the script that the command line names, as ``python SCRIPT`` would."""
    if len(sys.argv) < 2 or not os.path.isfile(sys.argv[1]):
        what = 'give a script' if len(sys.argv) < 2 else f'{sys.argv[1]}: no such script'
        print(f'error: {UserError(what)}: python -m mmext.compat SCRIPT [ARGUMENT ...]', file=sys.stderr)
        sys.exit(UserError.code)
    del sys.argv[0]
    sys.path[0] = os.path.dirname(os.path.abspath(sys.argv[0]))
    runpy.run_path(sys.argv[0], run_name='__main__')


if __name__ == '__main__':
    main()
