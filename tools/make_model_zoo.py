"""Makes docs/model_zoo.md, model-index.yml and configs/metafile.yml from the configs.

    tools/make_model_zoo.py            # writes them: about half a minute
    tools/make_model_zoo.py --check    # exits with 1 where they are not what the configs say
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import mmext  # noqa: F401  repairs the stack before anything else is imported
from mmext.engine import cli
from mmext.errors import shorten

ROOT = Path(__file__).resolve().parent.parent


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Make the model zoo from the configs.')
    parser.add_argument('--check', action='store_true', help='write nothing; exit with 1 where something is stale')
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    from mmext.analysis import model_zoo

    if not args.check:
        for path in model_zoo.write(ROOT):
            print(path)
        return 0
    stale = model_zoo.stale(ROOT)
    if stale:
        print(f'stale: {shorten(stale)}; run tools/make_model_zoo.py', file=sys.stderr)
    return 1 if stale else 0


if __name__ == '__main__':
    cli.run(main)
