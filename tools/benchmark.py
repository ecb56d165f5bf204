"""How fast configs are, side by side: latency, throughput, memory, training step, data.

    tools/benchmark.py configs/ssd300_iresnet50_coco.py --backbone resnet50 iresnet50 --data-root data/coco
    tools/benchmark.py configs/classification/iresnet_imagenet.py --backbone resnet50 iresnet50 resnet101 iresnet101 \\
        --device cuda --dtype bf16 --memory-format channels_last --batches 1 16 64 256 --plot speed.png --out speed.json

Detectors, recognizers and classifiers alike. All models are measured in turn, A B A B, so that a machine that slows
down slows all of them; a ratio is the median of the turns' ratios to the first model's time, and below 1 is quicker.
Model inputs are made up; the loader, the wait for it and the transforms are measured on the config's data.
"""

from __future__ import annotations

import argparse

import mmext  # noqa: F401  repairs the stack before anything else is imported
from mmext.benchmark.plan import MEASUREMENTS, MEMORY_FORMATS, NUMBER_FORMATS, Plan
from mmext.engine import cli
from mmext.engine.flags.actions import DictAction, OptionsAction
from mmext.engine.flags.training import COMPILE_MODES
from mmext.errors import UserError


def parse_args() -> argparse.Namespace:
    plan = Plan()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('config', nargs='+', help='files of configs/')
    add('--backbone', nargs='+', metavar='NAME', help='networks put into every config, as mmext.list_backbones() says')
    add('--data-root', help='moves every data set of the configs there')
    add('--classes', help="your own: 'auto' takes them from the training annotations, or a,b,c")
    add('--cfg-options', nargs='+', action=OptionsAction, metavar='k=v',
        help='other keys of the configs; load_from gives the model weights, which are random otherwise')
    add('--device', choices=['cpu', 'cuda'], default='cpu')
    add('--dtype', choices=NUMBER_FORMATS, default='fp32',
        help='bf16 and fp16: inference wholly, training with autocast')
    add('--memory-format', choices=MEMORY_FORMATS, default='contiguous', help='channels_last_3d for clips')
    add('--compile', nargs='?', const='default', choices=COMPILE_MODES, metavar='MODE',
        help='torch.compile: ' + ', '.join(COMPILE_MODES))
    add('--threads', type=int, help="of the processor (default: torch's)")
    add('--batches', type=int, nargs='+', default=plan.batches, metavar='N',
        help='batch sizes of inference (default: 1 2 4 8)')
    add('--train-batch', type=int, metavar='N', help="of a training step (default: the first config's)")
    add('--size', type=int, nargs=2, metavar=('H', 'W'), help="pixels (default: what the training pipeline makes)")
    add('--frames', type=int, metavar='T', help="of a clip (default: the training pipeline's)")
    add('--predict', action='store_true', help='inference goes on to predictions, with non-maximum suppression; mind '
        'that random weights find few boxes')
    add('--repeats', type=int, default=plan.repeats, metavar='N', help='turns of each model (default: %(default)s)')
    add('--warmup', type=int, default=plan.warmup, metavar='N', help='calls before them (default: %(default)s)')
    add('--only', nargs='+', choices=MEASUREMENTS, help='measure these alone')
    add('--synthetic', action='store_true', help='needs no data set, and measures none')
    add('--out', metavar='FILE.json', help='write every figure and every single time there')
    add('--plot', metavar='FILE.png', help='draw accuracy or MACs against throughput')
    add('--accuracy', nargs='+', action=DictAction, metavar='MODEL=VALUE', default={},
        help='for the plot, of each model as the tables name it')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    import dataclasses
    import sys

    from mmengine.logging import MMLogger
    from rich.console import Console

    from mmext.benchmark import machine, plot, tables
    from mmext.benchmark.compare import Comparison, add_shares
    from mmext.figures import write_figure
    from mmext.files import write_json

    MMLogger.get_current_instance().setLevel('WARNING')  # every weight's initialisation is told otherwise
    setup, subjects, plan = checked(args)
    loaders, left_out = feed(subjects, plan, args)
    setup.apply()
    described = machine.describe(setup)
    if 'throughput' in plan.parts:
        described['matrix_peak'] = machine.matrix_peak(setup)
    remarks = machine.warnings(described, setup)
    lines = tables.header(described, setup)
    console = Console(width=max(150, Console().width), highlight=False)
    for line in [*lines, *(f'warning: {remark}' for remark in remarks), *left_out]:
        console.print(line, soft_wrap=True, markup=False)
    records = Comparison(subjects, setup, plan, loaders, quiet=not sys.stderr.isatty()).measure()
    if 'throughput' in plan.parts:
        add_shares(records, described['matrix_peak'])
    tables.print_tables(records, console)
    if args.out:
        write_json(args.out, dict(machine=described, warnings=remarks, setup=dataclasses.asdict(setup),
                                  plan=dataclasses.asdict(plan), accuracy=args.accuracy, models=records))
        print(f'figures: {args.out}')
    if args.plot:
        write_figure(args.plot, plot.make_figure(records, args.accuracy, f'{described["device"]}, {lines[2]}'))
        print(f'plot: {args.plot}')


def checked(args: argparse.Namespace) -> tuple:
    """The setup, the subjects and the plan that the arguments describe.

    Raises:
        UserError: something in them can't be; nothing long has begun.
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
            raise UserError('--plot: it draws throughput; add that to --only')
    setup = Setup(args.device, args.dtype, args.memory_format, args.compile, args.threads, args.predict)
    setup.check()
    subjects = subjects_of(args.config, args.backbone, data_root=args.data_root, classes=args.classes,
                           options=args.cfg_options, size=args.size, frames=args.frames)
    plot.check_accuracy(args.accuracy, [subject.name for subject in subjects])
    first = subjects[0].config.get('train_dataloader') or {}
    plan = Plan(parts, tuple(args.batches), args.train_batch if args.train_batch is not None
                else first.get('batch_size', Plan.train_batch), args.repeats, args.warmup)
    plan.check(setup)
    for subject in subjects:
        if 'train' in parts and not subject.config.get('optim_wrapper'):
            raise UserError(f'{subject.spec.path}: no optim_wrapper to train with; leave out train with --only')
    tries = [subject.config.get('env_cfg', {}).get('cudnn_benchmark', False) for subject in subjects]
    return dataclasses.replace(setup, cudnn_benchmark=all(tries)), subjects, plan


def parts_of(args: argparse.Namespace) -> tuple[str, ...]:
    """What is to be measured."""
    if args.synthetic and args.only and 'data' in args.only:
        raise UserError('--only data: there are none with --synthetic; leave out one of them')
    return tuple(part for part in MEASUREMENTS if part in (args.only or MEASUREMENTS)
                 and not (args.synthetic and part == 'data'))


def feed(subjects: list, plan: object, args: argparse.Namespace) -> tuple[list, list[str]]:
    """Each subject's training loader, None where its data are not there, and a sentence for each of those.

    Raises:
        UserError: they are not there, and ``--only data`` asks for them.
    """
    from mmext.benchmark.data import loaders_of

    if args.synthetic or not {'data', 'train'} & set(plan.parts):
        return [None] * len(subjects), []
    found = loaders_of(subjects, plan.train_batch)
    errors = [loader for loader in found if isinstance(loader, UserError)]
    if errors and args.only and 'data' in args.only:
        raise errors[0]
    sentences = dict.fromkeys(f'data are left out: {error}' for error in errors)
    return [None if isinstance(loader, UserError) else loader for loader in found], list(sentences)


if __name__ == '__main__':
    cli.run(main)
