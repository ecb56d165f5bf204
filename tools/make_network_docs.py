"""Draws docs/networks/*.svg from the code, and counts the tables of docs/networks.md.

    tools/make_network_docs.py            # writes them: about a minute
    tools/make_network_docs.py --check    # exits with 1 where they are not what the code says
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import mmext  # noqa: F401  repairs the stack before anything else is imported
from mmext.engine import cli
from mmext.errors import shorten


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Draw and count the networks for docs/networks.md.')
    parser.add_argument('--check', action='store_true', help='write nothing; exit with 1 where something is stale')
    parser.add_argument('--docs', type=Path, default=Path(__file__).resolve().parent.parent / 'docs',
                        help='the folder of networks.md (default: docs)')
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    from mmext.analysis import network_page

    if not args.check:
        for path in network_page.make(args.docs):
            print(path)
        return 0
    stale = network_page.stale(args.docs)
    if stale:
        print(f'stale: {shorten(stale)}; run tools/make_network_docs.py', file=sys.stderr)
    return 1 if stale else 0


if __name__ == '__main__':
    cli.run(main)
