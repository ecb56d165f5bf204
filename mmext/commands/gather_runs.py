"""Summarises runs of a recipe with several seeds: best and last epochs, and mean +- std, as papers report them.

    mmext train configs/classification/rir_cifar10.py --seed 0        # and 1, 2 ...
    mmext gather-runs work_dirs/rir_cifar10_seed*
    mmext gather-runs work_dirs/cresnet_cifar10_seed* --metric accuracy/error1 --last 20

With --last N, the mean and the deviation are those of all N values of all runs, as in the paper of C-ResNet: 20 epochs
of three runs are 60 values. The deviation is that of a sample (n - 1).
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import asdict
from statistics import fmean

from mmext.engine import cli
from mmext.errors import UserError


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    parser = cli.Parser(prog, __doc__)
    parser.add_argument('runs', nargs='+', help='work dirs; those that differ only in _seed<N> are repetitions')
    parser.add_argument('--metric', default='accuracy/top1',
                        help='name of the metric in the log (default: %(default)s)')
    parser.add_argument('--last', type=int, default=1, metavar='N',
                        help="take each run's last N validations, as C-ResNet's paper does with 20")
    parser.add_argument('--out', metavar='FILE.json', help='write the results to this file')
    return parser


def main(args: argparse.Namespace) -> None:
    if args.last < 1:
        raise UserError(f'--last {args.last}: need 1 or more')
    from rich.console import Console
    from rich.table import Table

    from mmext.analysis.runs import Summary, mean_and_deviation, summarise
    from mmext.files import require_target, write_json

    if args.out:
        require_target(args.out)
    recipes: dict[str, list[Summary]] = defaultdict(list)
    for run in args.runs:
        summary = summarise(run, args.metric, args.last)
        recipes[summary.recipe].append(summary)

    console = Console(width=max(120, Console().width))
    table = Table(title=f'{args.metric}, %', title_justify='left')
    means = f'mean of last {args.last}' if args.last > 1 else 'last'
    for column in ('run', 'seed', 'epochs', 'best', 'at epoch', means):
        table.add_column(column, justify='left' if column == 'run' else 'right')
    figures = {}
    for recipe, runs in recipes.items():
        for run in runs:
            table.add_row(run.name, run.seed, str(run.epochs), percent(run.best), str(run.best_epoch),
                          percent(fmean(run.last)))
        best = mean_and_deviation([run.best for run in runs])
        last = mean_and_deviation([value for run in runs for value in run.last])
        if len(runs) > 1:
            table.add_row(f'{recipe}: mean +- std of {len(runs)}', '', '', spread(best), '', spread(last),
                          style='bold', end_section=True)
        figures[recipe] = dict(runs=[asdict(run) for run in runs], best=best, last=last)
    console.print(table)
    if args.out:
        write_json(args.out, dict(metric=args.metric, averaged=args.last, recipes=figures))
        print(f'figures: {args.out}')


def percent(value: float) -> str:
    return f'{100 * value:.2f}'


def spread(figures: tuple[float, float | None]) -> str:
    mean, deviation = figures
    return percent(mean) + ('' if deviation is None else f' +- {percent(deviation)}')
