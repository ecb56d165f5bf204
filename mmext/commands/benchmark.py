"""Compares the speed of configs: latency, throughput, memory, training step, data loading.

    mmext benchmark configs/ssd300_iresnet50_coco.py --backbone resnet50 iresnet50 --data-root data/coco
    mmext benchmark configs/classification/iresnet_imagenet.py --backbone resnet50 iresnet50 resnet101 iresnet101 \\
        --device cuda --dtype bf16 --memory-format channels_last --batches 1 16 64 256 --plot speed.png --out speed.json

It works for detectors, recognizers and classifiers. The models are measured in alternating rounds, A B A B, so that a
machine that slows down affects all of them. A ratio is the median over the rounds of the time divided by that of the
first model; below 1 is faster. Model inputs are synthetic; the loader, the wait for it and the transforms are measured
on the config's data.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, cast

from mmext.benchmark.plan import MEASUREMENTS, MEMORY_FORMATS, NUMBER_FORMATS, Plan
from mmext.engine import cli
from mmext.engine.flags.actions import DictAction, OptionsAction
from mmext.engine.flags.training import COMPILE_MODES
from mmext.errors import UserError

if TYPE_CHECKING:
    from mmengine.config import Config

    from mmext.analysis.subjects import Subject
    from mmext.benchmark.setup import Setup


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    plan = Plan()
    parser = cli.Parser(prog, __doc__)
    add = parser.add_argument
    add('config', nargs='+', help='files of configs/')
    add('--backbone', nargs='+', metavar='NAME',
        help='networks for every config, by their names in mmext.list_backbones()')
    add('--data-root', help='the data root of every data set of the configs')
    add('--classes', help="class names a,b,c, or 'auto' for those of the training annotations")
    add('--cfg-options', nargs='+', action=OptionsAction, metavar='k=v',
        help='sets other keys of the configs; load_from loads weights, which are random otherwise')
    add('--device', choices=['cpu', 'cuda'], default='cpu')
    add('--dtype', choices=NUMBER_FORMATS, default='fp32',
        help='bf16 and fp16 convert the whole model for inference, and use autocast for training; default is what '
        'training without --amp takes: fp32, with convolutions in TF32 on a GPU')
    add('--memory-format', choices=MEMORY_FORMATS, default='contiguous',
        help='memory format of the weights; channels_last_3d is for clips')
    add('--compile', nargs='?', const='default', choices=COMPILE_MODES, metavar='MODE',
        help='torch.compile: ' + ', '.join(COMPILE_MODES))
    add('--threads', type=int, help="number of CPU threads (default: torch's)")
    add('--batches', type=int, nargs='+', default=plan.batches, metavar='N',
        help='batch sizes of inference (default: 1 2 4 8)')
    add('--train-batch', type=int, metavar='N', help="batch size of a training step (default: the first config's)")
    add('--size', type=int, nargs=2, metavar=('H', 'W'),
        help="input size in pixels (default: that of the training pipeline)")
    add('--frames', type=int, metavar='T', help="frames of a clip (default: those of the training pipeline)")
    add('--predict', action='store_true', help='inference includes predictions, with non-maximum suppression; note '
        'that random weights find few boxes')
    add('--repeats', type=int, default=plan.repeats, metavar='N', help='rounds of each model (default: %(default)s)')
    add('--warmup', type=int, default=plan.warmup, metavar='N',
        help='calls before the measurement (default: %(default)s)')
    add('--only', nargs='+', choices=MEASUREMENTS, help='measure only these')
    add('--synthetic', action='store_true', help='do not use or measure the data sets')
    add('--out', metavar='FILE.json', help='write all results, with every single time, to this file')
    add('--plot', metavar='FILE.png', help='draw accuracy or MACs against throughput')
    add('--accuracy', nargs='+', action=DictAction, metavar='MODEL=VALUE', default={},
        help='accuracies for the plot, by the names of the models in the tables')
    return parser


def main(args: argparse.Namespace) -> None:
    import dataclasses
    import sys

    from mmengine.logging import MMLogger
    from rich.console import Console

    from mmext.benchmark import machine, plot, tables
    from mmext.benchmark.compare import Comparison, add_shares
    from mmext.figures import write_figure
    from mmext.files import write_json

    MMLogger.get_current_instance().setLevel('WARNING')  # otherwise the initialisation of every weight is logged
    setup, subjects, plan = checked(args)
    loaders, left_out = feed(subjects, plan, args)
    setup.apply()
    described = machine.describe(setup)
    if 'throughput' in plan.parts:
        described['peak'] = machine.peak_of(setup)
    remarks = machine.warnings(described, setup)
    lines = tables.header(described, setup)
    console = Console(width=max(150, Console().width), highlight=False)
    for line in [*lines, *(f'warning: {remark}' for remark in remarks), *left_out]:
        console.print(line, soft_wrap=True, markup=False)
    records = Comparison(subjects, setup, plan, loaders, quiet=not sys.stderr.isatty()).measure()
    if 'throughput' in plan.parts:
        add_shares(records, described['peak'])
    tables.print_tables(records, console)
    if args.out:
        write_json(args.out, dict(machine=described, warnings=remarks, setup=dataclasses.asdict(setup),
                                  plan=dataclasses.asdict(plan), accuracy=args.accuracy, models=records))
        print(f'figures: {args.out}')
    if args.plot:
        write_figure(args.plot, plot.make_figure(records, args.accuracy, f'{described["device"]}, {lines[2]}'))
        print(f'plot: {args.plot}')


def checked(args: argparse.Namespace) -> tuple[Setup, list[Subject], Plan]:
    """The setup, the subjects and the plan that the arguments describe, checked before anything long starts.

    Raises:
        UserError: an argument is invalid.
    """
    import dataclasses

    from mmext.analysis.subjects import subjects_of
    from mmext.benchmark import plot
    from mmext.benchmark.setup import Setup
    from mmext.figures import require_suffix
    from mmext.files import require_target

    parts = parts_of(args)
    for option, path in (('--out', args.out), ('--plot', args.plot)):
        if path:
            require_target(path, option)
    if args.plot:
        require_suffix(args.plot, '--plot')
        if 'throughput' not in parts:
            raise UserError('--plot: the plot shows throughput; add throughput to --only')
    setup = Setup(args.device, args.dtype, args.memory_format, args.compile, args.threads, args.predict)
    setup.check()
    subjects = subjects_of(args.config, args.backbone, data_root=args.data_root, classes=args.classes,
                           options=args.cfg_options, size=args.size, frames=args.frames)
    plot.check_accuracy(args.accuracy, [subject.name for subject in subjects])
    configs = [cast('Config', subject.config) for subject in subjects]
    batch = (configs[0].get('train_dataloader') or {}).get('batch_size', Plan.train_batch)
    plan = Plan(parts, tuple(args.batches), batch if args.train_batch is None else args.train_batch, args.repeats,
                args.warmup)
    plan.check(setup)
    for config in configs:
        if 'train' in parts and not config.get('optim_wrapper'):
            raise UserError(f'{config.filename}: no optim_wrapper to train with; exclude train with --only')
    tries = [config.get('env_cfg', {}).get('cudnn_benchmark', False) for config in configs]
    return dataclasses.replace(setup, cudnn_benchmark=all(tries)), subjects, plan


def parts_of(args: argparse.Namespace) -> tuple[str, ...]:
    """The names of the measurements."""
    if args.synthetic and args.only and 'data' in args.only:
        raise UserError('--only data: --synthetic uses no data; remove one of the two')
    return tuple(part for part in MEASUREMENTS if part in (args.only or MEASUREMENTS)
                 and not (args.synthetic and part == 'data'))


def feed(subjects: list[Subject], plan: Plan, args: argparse.Namespace) -> tuple[list, list[str]]:
    """The training loader of each subject, None if its data are missing, and a message for each of those.

    Raises:
        UserError: data are missing, and ``--only data`` requests them.
    """
    from mmext.benchmark.data import loaders_of

    if args.synthetic or not {'data', 'train'} & set(plan.parts):
        return [None] * len(subjects), []
    found = loaders_of(subjects, plan.train_batch)
    errors = [loader for loader in found if isinstance(loader, UserError)]
    if errors and args.only and 'data' in args.only:
        raise errors[0]
    sentences = dict.fromkeys(f'data are not measured: {error}' for error in errors)
    return [None if isinstance(loader, UserError) else loader for loader in found], list(sentences)
