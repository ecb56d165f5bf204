"""Makes the documentation that follows from the code and the configs.

    tools/docs/make.py                # all of it: about a minute and a half
    tools/docs/make.py networks       # docs/networks.md and docs/networks/*.svg, from the networks
    tools/docs/make.py model_zoo      # docs/model_zoo.md, model-index.yml and configs/metafile.yml, from the configs
    tools/docs/make.py flags          # the tables of flags in docs/training.md and docs/evaluation.md
    tools/docs/make.py --check        # writes nothing; exits with 1 where a file is out of date
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import mmext  # noqa: F401  repairs the stack before anything else is imported
from mmext.engine import cli
from mmext.errors import shorten

PARTS = ('networks', 'model_zoo', 'flags')


def parse_args() -> argparse.Namespace:
    """The arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('parts', nargs='*', metavar='PART', help=f'{", ".join(PARTS)} (default: all)')
    parser.add_argument('--check', action='store_true', help='write nothing; exit with 1 where a file is out of date')
    parser.add_argument('--root', type=Path, default=Path(__file__).resolve().parents[2],
                        help='the checkout (default: the one this file is in)')
    args = parser.parse_args()
    for part in args.parts:
        if part not in PARTS:
            parser.error(f'{part!r}: there are {", ".join(PARTS)}')
    return args


def main() -> int:
    """Makes or checks the parts; returns the exit code."""
    args = parse_args()
    import flag_tables

    import model_zoo
    from network_docs import page

    stale = []
    for part, module in zip(PARTS, (page, model_zoo, flag_tables), strict=True):
        if args.parts and part not in args.parts:
            continue
        if args.check:
            stale += module.stale(args.root)
        else:
            for path in module.make(args.root):
                print(path)
    if stale:
        print(f'out of date: {shorten(stale)}; run tools/docs/make.py', file=sys.stderr)
    return 1 if stale else 0


if __name__ == '__main__':
    cli.run(main)
