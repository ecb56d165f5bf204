"""Draws loss, learning rate and metrics of one or more runs in one picture.

    mmext plot work_dirs/ssd300_iresnet50_coco
    mmext plot work_dirs/rir_cifar10_seed* --keys loss accuracy/top1 accuracy/error1 --smooth --out curves.pdf
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mmext.engine import cli
from mmext.errors import UserError

MAX_SMOOTH = 1000


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    parser = cli.Parser(prog, __doc__)
    parser.add_argument('runs', nargs='+', metavar='RUN', help='work dirs of mmext train')
    parser.add_argument('--out', metavar='FILE',
                        help='a .png, .svg or .pdf file (default: curves.png in the first work dir)')
    parser.add_argument('--keys', nargs='+', metavar='KEY',
                        help='names in the log, one panel each (default: loss, lr and the main metric)')
    parser.add_argument('--smooth', nargs='?', type=float, const=3.0, default=0.0, metavar='N',
                        help='smooth training curves over N neighbouring records (without a number: %(const)s)')
    return parser


def main(args: argparse.Namespace) -> None:
    from mmext.analysis import curves
    from mmext.figures import require_suffix, write_figure
    from mmext.files import require_target

    if not 0 <= args.smooth <= MAX_SMOOTH:
        raise UserError(f'--smooth {args.smooth:g}: need a number of records from 0 (no smoothing) to '
                        f'{MAX_SMOOTH}')
    out = Path(args.out or Path(args.runs[0], 'curves.png'))
    require_suffix(out, '--out')
    runs = curves.read_runs(args.runs)
    keys = curves.choose_keys(runs, args.keys)
    require_target(out)
    write_figure(out, curves.make_figure(runs, keys, args.smooth))
    print(f'{", ".join(keys)} of {", ".join(run.name for run in runs)}: {out}')
