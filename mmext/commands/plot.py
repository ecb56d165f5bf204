"""Draws loss, learning rate and metrics of one or more runs in one picture.

    mmext plot work_dirs/ssd300_iresnet50_coco
    mmext plot work_dirs/rir_cifar10_seed* --keys loss accuracy/top1 accuracy/error1 --smooth --out curves.pdf
    mmext plot work_dirs/iresnet_cifar10_*_seed0 --error

--error draws the top-1 error of training (dashed) and validation (solid) in one panel, one colour for each network, as
the figures 4 to 6 of the iResNet paper do. The training's is that of the augmented batches of each epoch.
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
                        help='a .png, .svg or .pdf file (default: curves.png in the first work dir, or error.png)')
    what = parser.add_mutually_exclusive_group()
    what.add_argument('--error', action='store_true', help='top-1 error of training and validation in one panel')
    what.add_argument('--keys', nargs='+', metavar='KEY',
                      help='names in the log, one panel each (default: loss, lr and the main metric)')
    parser.add_argument('--smooth', nargs='?', type=float, const=3.0, default=0.0, metavar='N',
                        help='smooth training curves over N neighbouring records (without a number: %(const)s)')
    return parser


def main(args: argparse.Namespace) -> None:
    from mmext.analysis import curves, error_curves
    from mmext.figures import require_suffix, write_figure
    from mmext.files import require_target

    if not 0 <= args.smooth <= MAX_SMOOTH:
        raise UserError(f'--smooth {args.smooth:g}: need a number of records from 0 (no smoothing) to '
                        f'{MAX_SMOOTH}')
    if args.smooth and args.error:
        raise UserError('--smooth: --error has the mean of each epoch; give one of the two')
    out = Path(args.out or Path(args.runs[0], 'error.png' if args.error else 'curves.png'))
    require_suffix(out, '--out')
    runs = curves.read_runs(args.runs)
    if args.error:
        keys, figure = ['top-1 error'], error_curves.make_figure(runs)
    else:
        keys = curves.choose_keys(runs, args.keys)
        figure = curves.make_figure(runs, keys, args.smooth)
    require_target(out)
    write_figure(out, figure)
    print(f'{", ".join(keys)} of {", ".join(run.name for run in runs)}: {out}')
