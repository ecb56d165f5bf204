"""Evaluates a checkpoint: tools/test.py configs/ssd300_iresnet50_coco.py work_dirs/.../epoch_130.pth"""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

import mmext  # noqa: F401  repairs the stack before anything else is imported
from mmext.engine import cli
from mmext.errors import UserError

if TYPE_CHECKING:
    from mmengine.config import Config


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Evaluate a checkpoint on the test set of its config.')
    parser.add_argument('config', help='a file of configs/, or the config that training left in its work dir')
    parser.add_argument('checkpoint')
    cli.add_config_arguments(parser)
    parser.add_argument('--out', metavar='FILE.json', help='write the metrics there')
    parser.add_argument('--show-dir', metavar='DIR',
                        help='draw every image there, ground truth beside detections; or some videos, right and wrong')
    parser.add_argument('--show-score', type=float, default=0.3,
                        help='least score of a detection to be drawn (default: %(default)s)')
    parser.add_argument('--per-class', action='store_true', help='AP and counts of each class')
    parser.add_argument('--views', metavar='CLIPSxCROPS', help="of a video: 10x3, or 1x1 (default: the config's)")
    parser.add_argument('--skip-unreadable', action='store_true',
                        help='go on where images or videos are missing or unreadable, with black ones in their place')
    return parser.parse_args()


def drawing_hook(config: Config, args: argparse.Namespace) -> dict:
    """The config of what draws this config's results. UserError where nothing does."""
    folder = os.path.abspath(args.show_dir)
    kind = config.test_evaluator.get('type')
    if kind == 'mmext.CocoMetric':
        return dict(type='DetVisualizationHook', draw=True, test_out_dir=folder, score_thr=args.show_score)
    if kind == 'mmext.ActionAccuracy':
        return dict(type='mmext.ShowVideosHook', out_dir=folder)
    raise UserError('--show-dir: it draws detections and videos, and this config has none')


def main() -> None:
    args = parse_args()
    from mmengine.dist import is_main_process

    from mmext import files
    from mmext.engine import report, run

    config = cli.config_from(args)
    if args.per_class:
        if config.test_evaluator.get('type') not in ('mmext.CocoMetric', 'mmext.Accuracy', 'mmext.ActionAccuracy'):
            raise UserError("--per-class: needs a config whose test_evaluator is mmext's CocoMetric or Accuracy")
        config.test_evaluator.per_class = True
    if args.show_dir:
        config.default_hooks.visualization = drawing_hook(config, args)
        files.require_writable(args.show_dir, '--show-dir')
    if args.views:
        from mmext.video.views import set_views
        set_views(config, args.views)
    if args.out:
        files.require_target(args.out)
    run.set_up(config, args.work_dir, cli.run_name(args), args.launcher)
    metrics = run.test(config, args.checkpoint, skip_unreadable=args.skip_unreadable)
    if is_main_process():
        overall, classes = report.split_metrics(metrics)
        report.print_tables(overall, classes, f'{args.config}, {args.checkpoint}: metrics, %')
        if args.out:
            files.write_json(args.out, dict(overall, per_class=classes) if classes else overall)
            print(f'metrics: {args.out}')
        if args.show_dir:
            print(f'pictures: {args.show_dir}')


if __name__ == '__main__':
    cli.run(main)
