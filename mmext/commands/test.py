"""Evaluates a checkpoint, or a file of detections or scores.

    mmext test configs/ssd300_iresnet50_coco.py work_dirs/.../epoch_130.pth --per-class --out metrics.json table.md
    mmext test configs/ssd300_iresnet50_coco.py --detections work_dirs/.../detections.json
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mmext.engine import cli
from mmext.engine.flags.flag import add_flags, apply_flags
from mmext.engine.flags.testing import FLAGS, TESTING
from mmext.errors import UserError

if TYPE_CHECKING:
    from mmengine.hooks import Hook

    from mmext.engine.fusion import Fused


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    parser = cli.IntermixedParser(
        prog, description='Evaluate a checkpoint, or a file of detections or scores, on the test set of a config.')
    parser.add_argument('config', help='a file of configs/, or the config that training wrote to its work dir')
    parser.add_argument('checkpoint', nargs='?')
    add_flags(parser, FLAGS)
    return parser


def check_args(args: argparse.Namespace) -> None:
    """Raises a UserError if the arguments do not describe one test."""
    if bool(args.checkpoint) == bool(args.detections):
        raise UserError(f'{args.config}: give {"either " if args.checkpoint else ""}a checkpoint or --detections FILE'
                        f'{", not both" if args.checkpoint else " to evaluate"}')
    for one in TESTING if args.detections else ():
        if one.needs_model and one.is_given(getattr(args, one.dest)):
            raise UserError(f'{one.name}: needs a checkpoint, and does not work with a file of results')
    if args.fuse and (args.engine, args.dtype) != ('torch', 'fp32'):
        raise UserError('--fuse: not together with --engine or --dtype; the other engines fold batch norms themselves')
    if args.calibration < 1:
        raise UserError(f'--calibration {args.calibration}: need 1 or more')
    if args.detections and args.launcher != 'none':
        raise UserError('--launcher: a file of detections is evaluated by one process')


def engine_hooks(args: argparse.Namespace) -> list[Hook]:
    """The hook that ``--engine`` and ``--dtype`` need, if any. Raises a UserError if they can't be used."""
    from mmext.backbones.trained import choose_device
    from mmext.export.engines import EngineHook, require_engine

    require_engine(args.engine, args.dtype, choose_device())
    if (args.engine, args.dtype) == ('torch', 'fp32'):
        return []
    return [EngineHook(args.checkpoint, args.engine, args.dtype, args.calibration)]


def describe_fusion(fused: Fused) -> str:
    """Describes which norms were folded, how much outputs differ, and the speed-up."""
    from mmext.benchmark.timing import FUSION_REPEATS, fusion_speed_up

    faster = fusion_speed_up(fused.plain, fused.fused)
    return (f'{fused}; {faster["median"]:.2f} times as fast ({faster["min"]:.2f} to {faster["max"]:.2f} in '
            f'{FUSION_REPEATS} runs of one batch)')


def main(args: argparse.Namespace) -> None:
    from mmengine.dist import is_main_process

    from mmext.engine import metric_tables, run
    from mmext.engine.log import scalars_if_any
    from mmext.task import task_of

    metric_tables.require_targets(args.out)
    check_args(args)
    config = cli.config_from(args)
    task = task_of(config)
    apply_flags(TESTING, config, args)
    kept, fusing = args.detections, None
    if kept:
        metrics = task.evaluate_file(config, kept)
    else:
        run.set_up(config, args.work_dir, cli.run_name(args.config, args.backbone), args.launcher)
        kept = task.results_file(config, args.save_detections, config.work_dir, bool(args.report))
        if args.fuse:
            from mmext.engine.fusion import FuseHook
            fusing = FuseHook()
        hooks = [fusing] if fusing else engine_hooks(args)
        if args.show_dir:
            hooks = [*hooks, task.drawing_hook(config, args.show_dir, args.show_score)]
        metrics = run.test(config, args.checkpoint, skip_unreadable=args.skip_unreadable, hooks=hooks,
                           results_file=kept)
    if not is_main_process():
        return
    overall, classes = metric_tables.split_metrics(metrics)
    title = f'{args.config}, {args.checkpoint or args.detections}: metrics, %'
    metric_tables.print_tables(overall, classes, title)
    for path in args.out:
        metric_tables.write(path, overall, classes, title, task.paper_names(config))
        print(f'metrics: {path}')
    if fusing and fusing.fused:
        print('fused:', describe_fusion(fusing.fused))
    if args.report and kept:
        tested = Path(args.checkpoint or args.detections)
        page = task.write_report(config, args.report, f'{Path(args.config).stem}: {tested}', kept, overall,
                                 scalars_if_any(tested.parent), args.show_score)
        print('report:', page)
    if args.show_dir:
        print(f'pictures: {args.show_dir}')
