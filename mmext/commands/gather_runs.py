"""Summarises runs of a recipe with several seeds: best and last epochs, and mean +- std, as papers report them.

    mmext train configs/classification/rir_cifar10.py --seed 0        # and 1, 2 ...
    mmext gather-runs work_dirs/rir_cifar10_seed*
    mmext gather-runs work_dirs/cresnet_*_seed* --metric accuracy/error1 --last 20 --bars errors.png
    mmext gather-runs work_dirs/ssd300_*_seed* --metric 'coco/*'

Of several runs, the last row has the best of them, and in parentheses mean +- std, as Table VI of the iResNet paper.
With --last N, the mean and the deviation are those of all N values of all runs, as in the paper of C-ResNet: 20 epochs
of three runs are 60 values. The deviation is that of a sample (n - 1). Of several metrics, the table has mean +- std of
the last epochs: a row for each metric, a column for each recipe.

--bars draws networks by data sets with errors over the runs, as the figures 5 and 6 of the recursion paper do.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import fmean
from typing import TYPE_CHECKING

from mmext.engine import cli
from mmext.errors import UserError

if TYPE_CHECKING:
    from rich.table import Table

    from mmext.analysis.runs import Summary

UNDEFINED = -1  # what COCO's metrics are where there is no object, such as APs without small ones


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    parser = cli.Parser(prog, __doc__)
    parser.add_argument('runs', nargs='+', help='work dirs; those that differ only in _seed<N> are repetitions')
    parser.add_argument('--metric', default='accuracy/top1', metavar='NAME',
                        help="name of the metric in the log, or a pattern for several, such as 'coco/*' (default: "
                        '%(default)s)')
    parser.add_argument('--last', type=int, default=1, metavar='N',
                        help="take each run's last N validations, as C-ResNet's paper does with 20")
    parser.add_argument('--bars', metavar='FILE', help='draw bars with errors, a panel for each data set')
    parser.add_argument('--best', action='store_true', help="in --bars: each run's best validation, not its last")
    parser.add_argument('--out', metavar='FILE.json', help='write the results to this file')
    return parser


def main(args: argparse.Namespace) -> None:
    from rich.console import Console

    from mmext.analysis.runs import read_log, summarise
    from mmext.engine.log import require_once
    from mmext.files import write_json

    require_arguments(args)
    require_once(args.runs)
    logs = list(map(read_log, args.runs))
    metrics = logs[0].matching(args.metric)
    if args.bars and len(metrics) > 1:
        raise UserError(f'--bars: draws one metric, and {args.metric} matches {", ".join(metrics)}')
    gathered = {metric: [summarise(log, metric, args.last) for log in logs] for metric in metrics}
    recipes = {metric: by_recipe(summaries) for metric, summaries in gathered.items()}
    table = table_of_metrics(recipes, args.last) if len(metrics) > 1 else \
        table_of_runs(metrics[0], recipes[metrics[0]], args.last)
    Console(width=max(160, Console().width)).print(table)
    if args.bars:
        draw_bars(args, metrics[0], gathered[metrics[0]])
    if args.out:
        figures = {metric: as_json(metric, found) for metric, found in recipes.items()}
        write_json(args.out, dict(averaged=args.last, metrics=figures))
        print(f'figures: {args.out}')


def require_arguments(args: argparse.Namespace) -> None:
    """Raises a UserError if the arguments contradict each other, or files can't be written."""
    from mmext.figures import require_suffix
    from mmext.files import require_target

    if args.last < 1:
        raise UserError(f'--last {args.last}: need 1 or more')
    if args.best and not args.bars:
        raise UserError('--best: is for --bars; the table has both')
    if args.bars:
        require_suffix(args.bars, '--bars')
        require_target(args.bars, '--bars')
    if args.out:
        require_target(args.out)


def by_recipe(summaries: Sequence[Summary]) -> dict[str, list[Summary]]:
    """The runs of each recipe, by the recipe's name."""
    recipes = defaultdict(list)
    for summary in summaries:
        recipes[summary.recipe].append(summary)
    return dict(recipes)


def table_of_runs(metric: str, recipes: Mapping[str, Sequence[Summary]], averaged: int) -> Table:
    """A row for each run, and one for the repetitions of each recipe."""
    from rich.table import Table

    from mmext.analysis.runs import best_of, unit_of

    factor, _ = unit_of(metric)
    table = Table(title=named(metric), title_justify='left')
    for column in ('run', 'seed', 'epochs', 'best', 'at epoch', name_of_last(averaged)):
        table.add_column(column, justify='left' if column == 'run' else 'right')
    for recipe, runs in recipes.items():
        for run in runs:
            table.add_row(run.name, run.seed, str(run.epochs), number(run.best, factor), str(run.best_epoch),
                          number(fmean(run.last), factor))
        if len(runs) > 1:
            best, last = [run.best for run in runs], last_values(runs)
            ends = spread(last, factor)
            if averaged == 1:
                ends = f'{number(best_of(last, metric), factor)} ({ends})'
            table.add_row(f'{recipe}: best (mean +- std) of {len(runs)}', '', '',
                          f'{number(best_of(best, metric), factor)} ({spread(best, factor)})', '', ends, style='bold',
                          end_section=True)
    return table


def table_of_metrics(gathered: Mapping[str, Mapping[str, Sequence[Summary]]], averaged: int) -> Table:
    """Mean +- std of the last epochs: a row for each metric, a column for each recipe."""
    from rich.table import Table

    from mmext.analysis.runs import unit_of

    table = Table(title=f'{name_of_last(averaged)}, mean +- std', title_justify='left')
    table.add_column('metric')
    for recipe, runs in next(iter(gathered.values())).items():
        table.add_column(f'{recipe}, {len(runs)} runs' if len(runs) > 1 else recipe, justify='right')
    for metric, recipes in gathered.items():
        factor, _ = unit_of(metric)
        table.add_row(named(metric), *(spread(last_values(runs), factor) for runs in recipes.values()))
    return table


def named(metric: str) -> str:
    """A metric with its unit, if it has one."""
    from mmext.analysis.runs import unit_of

    return ', '.join(filter(None, [metric, unit_of(metric)[1]]))


def name_of_last(averaged: int) -> str:
    """What the values of the last epochs are called in a table."""
    return f'mean of last {averaged}' if averaged > 1 else 'last'


def last_values(runs: Sequence[Summary]) -> list[float]:
    """The values of the last epochs of all runs."""
    return [value for run in runs for value in run.last]


def as_json(metric: str, recipes: Mapping[str, Sequence[Summary]]) -> dict[str, dict]:
    """The figures of each recipe, for ``--out``."""
    from mmext.analysis.runs import best_of, mean_and_deviation

    return {recipe: dict(runs=[asdict(run) for run in runs], best_of_runs=best_of([run.best for run in runs], metric),
                         best=mean_and_deviation([run.best for run in runs]),
                         last=mean_and_deviation(last_values(runs)))
            for recipe, runs in recipes.items()}


def draw_bars(args: argparse.Namespace, metric: str, summaries: Sequence[Summary]) -> None:
    """Draws the mean and the deviation of each network on each data set."""
    from mmext.analysis.bars import make_figure, result_panels
    from mmext.analysis.run_cells import drawn_cells, trained
    from mmext.analysis.runs import unit_of
    from mmext.figures import write_figure

    what = 'best epoch' if args.best else f'last {args.last} epochs' if args.last > 1 else 'last epoch'
    factor, unit = unit_of(metric)
    runs = list(map(trained, args.runs, summaries))
    methods, panels = result_panels(drawn_cells(runs, args.best), factor)
    caption = f'{" in ".join(filter(None, [metric, unit]))}, {what}, mean \N{PLUS-MINUS SIGN} standard deviation'
    write_figure(args.bars, make_figure(methods, panels, caption))
    print(f'bars: {args.bars}')


def number(value: float, factor: float) -> str:
    """A value as it is printed; '-' if it is undefined."""
    return '-' if value == UNDEFINED else f'{factor * value:.2f}'


def spread(values: Sequence[float], factor: float) -> str:
    """Mean +- standard deviation of some values; of one value, the value."""
    from mmext.analysis.runs import mean_and_deviation

    mean, deviation = mean_and_deviation(values)
    return number(mean, factor) + (f' +- {number(deviation, factor)}' if deviation is not None and mean != UNDEFINED
                                   else '')
