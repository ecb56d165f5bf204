"""Summarises runs of a recipe with several seeds: best and last epochs, and mean +- std, as papers report them.

    mmext train configs/classification/rir_cifar10.py --seed 0        # and 1, 2 ...
    mmext gather-runs work_dirs/rir_cifar10_seed*
    mmext gather-runs work_dirs/cresnet_*_seed* --metric accuracy/error1 --last 20 --bars errors.png

Of several runs, the last row has the best of them, and in parentheses mean +- std, as Table VI of the iResNet paper.
With --last N, the mean and the deviation are those of all N values of all runs, as in the paper of C-ResNet: 20 epochs
of three runs are 60 values. The deviation is that of a sample (n - 1).

--bars draws networks by data sets with errors over the runs, as the figures 5 and 6 of the recursion paper do.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from statistics import fmean
from typing import TYPE_CHECKING

from mmext.engine import cli
from mmext.errors import UserError

if TYPE_CHECKING:
    from mmext.analysis.runs import Summary


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    parser = cli.Parser(prog, __doc__)
    parser.add_argument('runs', nargs='+', help='work dirs; those that differ only in _seed<N> are repetitions')
    parser.add_argument('--metric', default='accuracy/top1',
                        help='name of the metric in the log (default: %(default)s)')
    parser.add_argument('--last', type=int, default=1, metavar='N',
                        help="take each run's last N validations, as C-ResNet's paper does with 20")
    parser.add_argument('--bars', metavar='FILE', help='draw bars with errors, a panel for each data set')
    parser.add_argument('--best', action='store_true', help="in --bars: each run's best validation, not its last")
    parser.add_argument('--out', metavar='FILE.json', help='write the results to this file')
    return parser


def main(args: argparse.Namespace) -> None:
    if args.last < 1:
        raise UserError(f'--last {args.last}: need 1 or more')
    from rich.console import Console
    from rich.table import Table

    from mmext.analysis.runs import best_of, mean_and_deviation, summarise, unit_of
    from mmext.engine.log import require_once
    from mmext.figures import require_suffix
    from mmext.files import require_target, write_json

    if args.best and not args.bars:
        raise UserError('--best: is for --bars; the table has both')
    if args.bars:
        require_suffix(args.bars, '--bars')
        require_target(args.bars, '--bars')
    if args.out:
        require_target(args.out)
    factor, unit = unit_of(args.metric)
    recipes: dict[str, list[Summary]] = defaultdict(list)
    require_once(args.runs)
    summaries = [summarise(run, args.metric, args.last) for run in args.runs]
    for summary in summaries:
        recipes[summary.recipe].append(summary)

    console = Console(width=max(160, Console().width))
    table = Table(title=', '.join(filter(None, [args.metric, unit])), title_justify='left')
    means = f'mean of last {args.last}' if args.last > 1 else 'last'
    for column in ('run', 'seed', 'epochs', 'best', 'at epoch', means):
        table.add_column(column, justify='left' if column == 'run' else 'right')
    figures = {}
    for recipe, runs in recipes.items():
        for run in runs:
            table.add_row(run.name, run.seed, str(run.epochs), number(run.best, factor), str(run.best_epoch),
                          number(fmean(run.last), factor))
        best = mean_and_deviation([run.best for run in runs])
        last = mean_and_deviation([value for run in runs for value in run.last])
        top = best_of([run.best for run in runs], args.metric)
        if len(runs) > 1:
            final = '' if args.last > 1 else number(best_of([run.last[0] for run in runs], args.metric), factor)
            ends = f'{final} ({spread(last, factor)})' if final else spread(last, factor)
            table.add_row(f'{recipe}: best (mean +- std) of {len(runs)}', '', '',
                          f'{number(top, factor)} ({spread(best, factor)})', '', ends, style='bold', end_section=True)
        figures[recipe] = dict(runs=[asdict(run) for run in runs], best_of_runs=top, best=best, last=last)
    console.print(table)
    if args.bars:
        draw_bars(args, summaries)
    if args.out:
        write_json(args.out, dict(metric=args.metric, averaged=args.last, recipes=figures))
        print(f'figures: {args.out}')


def draw_bars(args: argparse.Namespace, summaries: Sequence[Summary]) -> None:
    """Draws the mean and the deviation of each network on each data set."""
    from mmext.analysis.bars import make_figure, result_panels
    from mmext.analysis.run_cells import drawn_cells, trained
    from mmext.analysis.runs import unit_of
    from mmext.figures import write_figure

    what = 'best epoch' if args.best else f'last {args.last} epochs' if args.last > 1 else 'last epoch'
    factor, unit = unit_of(args.metric)
    runs = list(map(trained, args.runs, summaries))
    methods, panels = result_panels(drawn_cells(runs, args.best), factor)
    caption = f'{" in ".join(filter(None, [args.metric, unit]))}, {what}, mean \N{PLUS-MINUS SIGN} standard deviation'
    write_figure(args.bars, make_figure(methods, panels, caption))
    print(f'bars: {args.bars}')


def number(value: float, factor: float) -> str:
    return f'{factor * value:.2f}'


def spread(figures: tuple[float, float | None], factor: float) -> str:
    mean, deviation = figures
    return number(mean, factor) + ('' if deviation is None else f' +- {number(deviation, factor)}')
