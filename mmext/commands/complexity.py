"""Counts parameters and FLOPs of a config, or of a named network.

    mmext complexity configs/ssd300_iresnet50_coco.py --convention iresnet
    mmext complexity --backbone iresnet50 --num-classes 1000 --input 3 224 224
    mmext complexity --backbone iresnet3d50 --convention iresnet
    mmext complexity --backbone resnet18 cresnet15_a1 cresnet18_a --stem conv3x3_twice --num-classes 100 \\
        --convention cresnet --bars cost.png --error resnet18=21.42+-.19 cresnet15_a1=21.49+-.16 cresnet18_a=21.1+-.16

It counts on the meta device, without memory for weights. --bars draws parameters, FLOPs and what was measured as bars,
as the figures 4 and 6 of the C-ResNet paper do.
"""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from mmext.analysis import CONVENTIONS
from mmext.engine import cli
from mmext.engine.flags.actions import DictAction, OptionsAction
from mmext.errors import UserError

if TYPE_CHECKING:
    from mmext.analysis.complexity import Complexity
    from mmext.analysis.subjects import Subject


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    parser = cli.Parser(prog, __doc__)
    parser.add_argument('config', nargs='?', help='a file of configs/; --backbone replaces its network')
    parser.add_argument('--backbone', nargs='+', metavar='NAME',
                        help='without a config: a classifier with this network; iresnet3d50 is iresnet50 for clips. '
                        'Several are compared in a table')
    parser.add_argument('--num-classes', type=int, help='classes of the classifier (default: 1000, or 400 for clips)')
    parser.add_argument('--input', type=int, nargs='+', metavar='N',
                        help="input shape C H W or C T H W (default: that of the config or of the network: 3 224 224, "
                        '3 32 32 or, for clips, 3 16 224 224)')
    parser.add_argument('--stem', help="a stem instead of the network's own: conv7x7, deep, conv3x3, conv1x1, "
                        'conv3x3_twice')
    parser.add_argument('--convention', choices=CONVENTIONS, default='macs',
                        help='the paper whose way of counting FLOPs is used (default: plain multiply-accumulates)')
    parser.add_argument('--cfg-options', nargs='+', action=OptionsAction, metavar='k=v', help='sets keys of the config')
    parser.add_argument('--bars', metavar='FILE', help='draw the costs of several networks as bars')
    measured = parser.add_mutually_exclusive_group()
    for what in ('accuracy', 'error'):
        measured.add_argument(f'--{what}', nargs='+', action=DictAction, metavar='NAME=VALUE', default={},
                              help=f'for --bars: the {what} of each network, such as 4.52 or 4.52+-.13')
    parser.add_argument('--json', action='store_true', help='print JSON')
    return parser


def main(args: argparse.Namespace) -> None:
    from mmext.analysis import cost_bars
    from mmext.figures import require_suffix, write_figure
    from mmext.files import require_target

    if args.bars:
        require_suffix(args.bars, '--bars')
        require_target(args.bars, '--bars')
    what = 'accuracy' if args.accuracy else 'error'
    measured = cost_bars.read_measured(args.accuracy or args.error, args.backbone or [], f'--{what}')
    if measured and not args.bars:
        raise UserError(f'--{what}: is drawn by --bars FILE, which is absent')
    subjects = subjects_of(args)
    counted = {name: subject.complexity(args.convention) for name, subject in subjects.items()}
    if args.json:
        shown = {name: figures.as_dict() for name, figures in counted.items()}
        print(json.dumps(shown if len(shown) > 1 else next(iter(shown.values()))))
    elif len(subjects) == 1:
        print_one(args, next(iter(subjects.values())), next(iter(counted.values())))
    else:
        print_table(args, subjects, counted)
    if args.bars:
        caption = f'input {" or ".join(dict.fromkeys(cost_bars.shape_text(each) for each in subjects.values()))}'
        write_figure(args.bars, cost_bars.make_figure(counted, args.convention, what, measured, caption))
        if not args.json:
            print(f'bars: {args.bars}')


def subjects_of(args: argparse.Namespace) -> dict[str, Subject]:
    """The models that the arguments name, by the network's name, or the config's without one."""
    from mmext.analysis import subjects

    for name in args.backbone or ():
        if name.endswith('.py'):
            raise UserError(f'--backbone {name}: this is a config; put it before --backbone')
    if args.config:
        if args.stem or args.num_classes:
            raise UserError('--stem and --num-classes need --backbone without a config; for a config use '
                            '--cfg-options model.backbone.stem=... and the head\'s num_classes')
        return {name or args.config: subjects.from_config(args.config, name, args.cfg_options, args.input)
                for name in args.backbone or [None]}
    if args.backbone:
        return {name: subjects.classifier(name, args.num_classes, args.input, args.stem) for name in args.backbone}
    raise UserError('give a config or --backbone NAME')


def print_one(args: argparse.Namespace, subject: Subject, counted: Complexity) -> None:
    """Prints what one model costs, and what the papers print for it."""
    from mmext.analysis import cost_bars, published, subjects

    print(f'{subject.name}, input {cost_bars.shape_text(subject)}')
    print(f'params {counted.params / 1e6:10.4f} M')
    print(f'MACs   {counted.macs / 1e9:10.4f} G')
    if args.convention != 'macs':
        print(f'FLOPs  {counted.flops / 1e9:10.4f} G   as the {args.convention} paper counts them')
    if not args.config:
        model: Any = subject.model
        name = subjects.name_for_images(args.backbone[0])
        for row in published.classifier_rows(name, model.fc.out_features, subject.shape, model.backbone.stem):
            print(published.line(row))


def print_table(args: argparse.Namespace, subjects: dict[str, Subject], counted: dict[str, Complexity]) -> None:
    """Prints what several models cost, a row for each."""
    from rich.console import Console
    from rich.table import Table

    from mmext.analysis.cost_bars import shape_text

    table = Table(title=args.config, title_justify='left')
    flops = [f'FLOPs ({args.convention}), G'] if args.convention != 'macs' else []
    for column in ('network', 'input', 'params, M', 'MACs, G', *flops):
        table.add_column(column, justify='left' if column == 'network' else 'right')
    for name, figures in counted.items():
        costs = [figures.params / 1e6, figures.macs / 1e9, *([figures.flops / 1e9] if flops else [])]
        table.add_row(name, shape_text(subjects[name]), *(f'{cost:.4f}' for cost in costs))
    Console(width=max(120, Console().width), markup=False, emoji=False).print(table)
