"""Evaluates a checkpoint, or a file of detections.

    tools/test.py configs/ssd300_iresnet50_coco.py work_dirs/.../epoch_130.pth --per-class --out metrics.json table.md
    tools/test.py configs/ssd300_iresnet50_coco.py --detections work_dirs/.../detections.json
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

import mmext  # noqa: F401  repairs the stack before anything else is imported
from mmext.engine import cli
from mmext.errors import UserError

if TYPE_CHECKING:
    from mmext.engine.fusion import Fused

NEED_A_MODEL = ('fuse', 'show_dir', 'save_detections', 'views', 'img_size', 'crop_pct', 'skip_unreadable')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Evaluate a checkpoint, or a file of detections, on the test set of a '
                                                 'config.')
    parser.add_argument('config', help='a file of configs/, or the config that training left in its work dir')
    parser.add_argument('checkpoint', nargs='?')
    parser.add_argument('--detections', metavar='FILE', help="evaluate these, in COCO's result format, without a model")
    cli.add_config_arguments(parser)
    parser.add_argument('--out', nargs='+', action='extend', default=[], metavar='FILE',
                        help='write the metrics there: *.json, *.md or both')
    parser.add_argument('--per-class', action='store_true', help='AP and counts of each class')
    parser.add_argument('--reference', action='store_true',
                        help="evaluate with pycocotools, which gives the same numbers as hotcoco in more time")
    parser.add_argument('--save-detections', metavar='FILE',
                        help='keep the detections there (default: <work dir>/detections.json)')
    parser.add_argument('--report', metavar='DIR',
                        help='write DIR/index.html: metrics, curves, errors, confusion, calibration, pictures of a '
                        'detector')
    parser.add_argument('--fuse', action='store_true',
                        help='fold batch norms into convolutions, compare the outputs, and tell the speed-up')
    parser.add_argument('--show-dir', metavar='DIR',
                        help='draw every image there, ground truth beside detections; or some videos, right and wrong')
    parser.add_argument('--show-score', type=float, default=0.3,
                        help='least score of a detection to be drawn in --show-dir and --report (default: %(default)s)')
    parser.add_argument('--views', metavar='CLIPSxCROPS', help="of a video: 10x3, or 1x1 (default: the config's)")
    parser.add_argument('--img-size', type=int, metavar='N',
                        help="of class folders: the side of the centre crop, such as 320 (default: the config's)")
    parser.add_argument('--crop-pct', type=float, metavar='SHARE',
                        help="of class folders: the crop's share of the short side (default: the config's, 0.875)")
    parser.add_argument('--skip-unreadable', action='store_true',
                        help='go on where images or videos are missing or unreadable, with black ones in their place')
    return parser.parse_intermixed_args()


def check_args(args: argparse.Namespace) -> None:
    """Raises a UserError where the arguments are not one test."""
    if bool(args.checkpoint) == bool(args.detections):
        raise UserError(f'{args.config}: give {"either " if args.checkpoint else ""}a checkpoint or --detections FILE'
                        f'{", not both" if args.checkpoint else " to evaluate"}')
    for name in NEED_A_MODEL if args.detections else ():
        if getattr(args, name):
            raise UserError(f'--{name.replace("_", "-")}: needs a checkpoint, a file of detections has no such thing')
    if args.detections and args.launcher != 'none':
        raise UserError('--launcher: a file of detections is evaluated by one process')


def tell_fusion(fused: Fused) -> str:
    """What was folded, how exact it is, and how much quicker a batch is."""
    from mmext.benchmark.timing import FUSION_REPEATS, fusion_speed_up

    faster = fusion_speed_up(fused.plain, fused.fused)
    return (f'{fused}; {faster["median"]:.2f} times as fast ({faster["min"]:.2f} to {faster["max"]:.2f} in '
            f'{FUSION_REPEATS} turns of one batch)')


def main() -> None:
    args = parse_args()
    from mmengine.dist import is_main_process

    from mmext.engine import report, run, testing

    report.require_targets(args.out)
    check_args(args)
    config = cli.config_from(args)
    testing.apply_test_flags(config, per_class=args.per_class, reference=args.reference, views=args.views,
                             img_size=args.img_size, crop_pct=args.crop_pct,
                             show_dir=args.show_dir, show_score=args.show_score, page=args.report)
    kept, fusing = args.detections, None
    if kept:
        metrics = testing.evaluate_file(config, kept)
    else:
        run.set_up(config, args.work_dir, cli.run_name(args), args.launcher)
        kept = testing.keep_detections(config, args.save_detections, os.path.join(config.work_dir, 'detections.json'))
        if args.fuse:
            from mmext.engine.fusion import FuseHook
            fusing = FuseHook()
        metrics = run.test(config, args.checkpoint, skip_unreadable=args.skip_unreadable,
                           hooks=[fusing] if fusing else [])
    if is_main_process():
        overall, classes = report.split_metrics(metrics)
        title = f'{args.config}, {args.checkpoint or args.detections}: metrics, %'
        report.print_tables(overall, classes, title)
        for path in args.out:
            report.write(path, overall, classes, title)
            print(f'metrics: {path}')
        if fusing:
            print('fused:', tell_fusion(fusing.fused))
        if args.report:
            title = f'{Path(args.config).stem}: {args.checkpoint or args.detections}'
            run_dir = Path(args.checkpoint or args.detections).parent
            print('report:', testing.write_page(config, args.report, title, kept, overall, run_dir, args.show_score))
        if args.show_dir:
            print(f'pictures: {args.show_dir}')


if __name__ == '__main__':
    cli.run(main)
