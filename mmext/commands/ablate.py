"""Tests a trained network without each of its parts in turn, and draws the metric against their places.

    mmext ablate configs/classification/rir_cifar10.py work_dirs/rir_cifar10/epoch_82.pth --backbone rir_init32
    mmext ablate configs/classification/cresnet_cifar10.py work_dirs/cresnet_cifar10/epoch_500.pth --limit 0
    mmext ablate configs/ssd300_resnet50_coco.py work_dirs/ssd300_resnet50_coco/epoch_130.pth --limit 0

The parts are the learned connections between the two streams of each layer (ResNet Init and RiR), the jumpers of each
block (C-ResNet), or the branch of each block, whose shortcut then remains alone (all networks with shortcuts).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mmext.engine import cli
from mmext.engine.flags.flag import add_flags, apply_flags
from mmext.engine.flags.shared import SHARED
from mmext.engine.flags.testing import views, views_at_once
from mmext.errors import UserError

if TYPE_CHECKING:
    from mmext.analysis.ablation import Loss

LIMIT = 1000
VIEWS = (views, views_at_once)
KINDS = ('streams', 'jumpers', 'branches')  # the keys of mmext.analysis.ablation.FINDERS, which imports torch


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    parser = cli.IntermixedParser(prog, __doc__)
    parser.add_argument('config', help='a file of configs/, or the config that training wrote to its work dir')
    parser.add_argument('checkpoint')
    parser.add_argument('--what', choices=KINDS, help='which parts (default: the first of these that the network has)')
    parser.add_argument('--limit', type=int, metavar='N', help='use only N samples of the test set, chosen at random '
                        f'but always the same (default: {LIMIT} for classifiers and recognizers); 0: all')
    parser.add_argument('--metric', metavar='NAME', help='of the test, such as accuracy/top1 (default: the first one)')
    parser.add_argument('--out', metavar='FILE.json', help='default: ablation.json in the work dir')
    parser.add_argument('--plot', metavar='FILE', help='.png, .svg or .pdf (default: ablation.png in the work dir)')
    add_flags(parser, (*SHARED, *VIEWS))
    parser.set_defaults(detections=None)
    return parser


def main(args: argparse.Namespace) -> None:
    from mmext.analysis import ablation
    from mmext.engine import run
    from mmext.engine.repeated import repeated_test
    from mmext.figures import require_suffix, write_figure
    from mmext.files import require_target, write_json
    from mmext.screen import bar
    from mmext.task import task_of

    if args.limit is not None and args.limit < 0:
        raise UserError(f'--limit {args.limit}: need the number of samples, or 0 for all')
    if args.launcher != 'none':
        raise UserError('--launcher: an ablation runs in one process')
    config = cli.config_from(args)
    apply_flags(VIEWS, config, args)
    run.set_up(config, args.work_dir, cli.run_name(args.config, args.backbone))
    out, plot = (Path(given or Path(config.work_dir, name)) for given, name in
                 ((args.out, 'ablation.json'), (args.plot, 'ablation.png')))
    require_suffix(plot, '--plot')
    for path in (out, plot):
        require_target(path)
    limit = args.limit if args.limit is not None else LIMIT if task_of(config).averages_samples else 0
    with repeated_test(config, args.checkpoint, limit) as evaluate:
        what, parts = ablation.parts_of(evaluate.model, args.what)
        metric, intact, losses = ablation.ablate(evaluate, parts, args.metric,
                                                 lambda parts: bar('ablation', what.rstrip('s'), parts))
    samples = f'{evaluate.samples:,} of {evaluate.of:,} samples' if evaluate.samples < evaluate.of else \
        f'{evaluate.samples:,} samples'
    title = f'{cli.run_name(args.config, args.backbone)}: {metric} without one part ({what}), {samples}'
    print_table(title, intact, losses)
    write_json(out, dict(config=args.config, checkpoint=args.checkpoint, what=what, metric=metric,
                         samples=evaluate.samples, of=evaluate.of, intact=intact, parts=ablation.as_json(losses)))
    write_figure(plot, ablation.make_figure(title, metric, intact, losses, 'layer' if what == 'streams' else 'block'))
    print(f'figures: {out}\npicture: {plot}')


def print_table(title: str, intact: float, losses: Sequence[Loss]) -> None:
    """Prints a row for each place, and a column for each kind of part."""
    from rich.console import Console
    from rich.table import Table

    from mmext.analysis.ablation import kinds_of

    kinds = kinds_of(losses)
    table = Table()
    table.add_column('')
    table.add_column('module')
    for kind in kinds:
        table.add_column(f'{kind}, %', justify='right')
    values = {(loss.name, loss.kind): loss for loss in losses}
    for name, layer in dict.fromkeys((loss.name, loss.layer) for loss in losses):
        table.add_row(str(layer), name, *(f'{100 * values[name, kind].value:.2f}' if (name, kind) in values else ''
                                          for kind in kinds))
    print(f'{title}; intact: {100 * intact:.2f} %')
    Console(width=max(120, Console().width)).print(table)
