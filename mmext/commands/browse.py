"""Writes a page about the data of a config before training: mmext browse configs/ssd300_iresnet50_coco.py --out page

    mmext browse configs/ssd300_iresnet50_coco.py --data-root data/mine --classes auto --out page
    mmext browse configs/iresnet3d50_kinetics400.py --data-root data/kinetics400 --out page --samples 12

The page shows samples after augmentation with boxes or frames, the number of objects or samples of each class, and for
detectors the sizes of boxes against the anchors.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mmext.engine import cli
from mmext.errors import UserError


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog, description='Write a page of samples after augmentation, class counts, and '
                                                       'box sizes against the anchors.')
    parser.add_argument('config', help='a file of configs/')
    parser.add_argument('--out', required=True, metavar='DIR', help='write DIR/index.html')
    parser.add_argument('--samples', type=int, default=24, metavar='N',
                        help='number of samples to show (default: %(default)s)')
    parser.add_argument('--split', choices=['train', 'val', 'test'], default='train',
                        help='the data set of which loader (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0, metavar='N',
                        help='seed of the choice and the augmentation (default: %(default)s)')
    cli.add_config_flags(parser)
    return parser


def main(args: argparse.Namespace) -> None:
    if args.samples < 1:
        raise UserError(f'--samples {args.samples}: need at least 1')
    if not 0 <= args.seed < 2**32:
        raise UserError(f'--seed {args.seed}: need a number from 0 to {2**32 - 1}')
    from mmext.analysis.browse import look_at, write_browse_page
    from mmext.report.page import require_report

    require_report(args.out, option='--out')
    config = cli.config_from(args)
    browsed = look_at(config, args.split, args.samples, args.seed)
    title = f'{Path(args.config).stem}: {args.split} data, seed {args.seed}'
    print(f'page: {write_browse_page(args.out, title, browsed)}')
