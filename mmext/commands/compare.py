"""Compares methods over data sets: mean ranks, Friedman's test and Nemenyi's critical difference.

    mmext compare results.csv --graph ranks.png --diagram cd.png
    mmext compare work_dirs/cresnet_*_seed* --metric accuracy/error1 --last 20 --save-csv results.csv

A CSV file has a row for each data set and a column for each method, or the columns method,dataset,value with a row for
each value. Repetitions are averaged. Of runs, the network is the method; both names come from the config of the run.

Higher values are better, except of a metric, or a file, whose name says error or loss. Two methods differ significantly
if their mean ranks differ by the critical difference or more.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mmext.engine import cli
from mmext.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from mmext.analysis.ranking import Ranking
    from mmext.analysis.result_table import ResultTable

MAX_COLUMNS = 6  # data sets in the printed table


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    parser = cli.Parser(prog, __doc__)
    parser.add_argument('results', nargs='+', help='a CSV file, or work dirs of mmext train')
    direction = parser.add_mutually_exclusive_group()
    direction.add_argument('--higher-is-better', dest='higher', action='store_true', default=None,
                           help='the largest value has rank 1 (default, unless the name says error or loss)')
    direction.add_argument('--lower-is-better', dest='higher', action='store_false',
                           help='the smallest value has rank 1')
    parser.add_argument('--alpha', type=float, default=0.05, help='level of significance (default: %(default)s)')
    parser.add_argument('--metric', help='of runs: name of the metric in the log (default: accuracy/top1)')
    parser.add_argument('--last', type=int, metavar='N', help='of runs: the mean of the last N validations (default: '
                        '1)')
    parser.add_argument('--best', action='store_true', help='of runs: the best validation in place of the last')
    parser.add_argument('--graph', metavar='FILE', help="draw the ranking graph, as the recursion paper's figure 4")
    parser.add_argument('--diagram', metavar='FILE', help="draw Demsar's critical-difference diagram")
    parser.add_argument('--save-csv', metavar='FILE.csv', help='write the compared table, to be edited or added to')
    parser.add_argument('--out', metavar='FILE.json', help='write ranks and tests to this file')
    return parser


def main(args: argparse.Namespace) -> None:
    from mmext.analysis import rank_figures
    from mmext.analysis.ranking import rank
    from mmext.analysis.runs import falls
    from mmext.figures import require_suffix, write_figure
    from mmext.files import require_target, write_json, write_text

    for option, path in (('--graph', args.graph), ('--diagram', args.diagram)):
        if path:
            require_suffix(path, option)
    for option in ('graph', 'diagram', 'save_csv', 'out'):
        if getattr(args, option):
            require_target(getattr(args, option), f'--{option.replace("_", "-")}')
    table = read_table(args)
    word = falls(table.metric) or ('' if table.metric else falls(Path(args.results[0]).stem))
    higher = not word if args.higher is None else args.higher
    try:
        ranking = rank(table.methods, table.values, higher, args.alpha)
    except UserError as error:
        raise UserError(f'{", ".join(args.results[:3])}: {error}') from None
    way = 'higher' if higher else 'lower'
    reason = f' (its name says {word})' if word and args.higher is None else ''
    print_ranking(ranking, table, f'{way} is better{reason}')
    if args.graph:
        write_figure(args.graph, rank_figures.ranking_graph(ranking))
        print(f'ranking graph: {args.graph}')
    if args.diagram:
        write_figure(args.diagram, rank_figures.difference_diagram(ranking))
        print(f'critical-difference diagram: {args.diagram}')
    if args.save_csv:
        write_text(args.save_csv, table.as_csv())
        print(f'table: {args.save_csv}')
    if args.out:
        write_json(args.out, as_json(ranking, table, higher))
        print(f'figures: {args.out}')


def read_table(args: argparse.Namespace) -> ResultTable:
    """The table of the CSV file or of the runs that the arguments name. UserError if they are no such."""
    from mmext.analysis.result_table import read_csv, table_of

    files = [path for path in args.results if not Path(path).is_dir()]
    if not files:
        from mmext.analysis.run_cells import compared_cells, read_trained

        if args.last is not None and args.last < 1:
            raise UserError(f'--last {args.last}: need 1 or more')
        if args.last and args.best:
            raise UserError('--last and --best: give one of the two')
        metric = args.metric or 'accuracy/top1'
        runs = read_trained(args.results, metric, args.last or 1)
        return table_of(compared_cells(runs, args.best), f'{len(runs)} runs', metric)
    if len(args.results) > 1:
        raise UserError(f'{files[0]}: need one CSV file, or work dirs alone')
    for option in ('metric', 'last', 'best'):
        if getattr(args, option):
            raise UserError(f'--{option}: is for work dirs; {files[0]} has one value for each method and data set')
    return read_csv(files[0])


def print_ranking(ranking: Ranking, table: ResultTable, direction: str) -> None:
    """Prints the methods by mean rank, the tests, and which methods differ."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=max(120, Console().width), highlight=False, markup=False, emoji=False)
    count, repeated = len(table.data_sets), table.repetitions
    means = f', means of {"-".join(map(str, dict.fromkeys(repeated)))} values' if repeated[1] > 1 else ''
    console.print(f'{table.metric or "results"} of {len(table.methods)} methods on {count} data sets{means}; '
                  f'{direction}', soft_wrap=True)
    shown, digits = Table(), decimals(table.values)
    for column in ('method', 'mean rank', *(table.data_sets if count <= MAX_COLUMNS else ())):
        shown.add_column(column, justify='left' if column == 'method' else 'right')
    for i in ranking.order:
        values = [f'{value:.{digits}f} ({rank:g})' for value, rank in zip(table.values[:, i], ranking.ranks[:, i])]
        shown.add_row(table.methods[i], f'{ranking.means[i]:.3f}', *(values if count <= MAX_COLUMNS else ()))
    console.print(shown)
    for line in conclusions(ranking):
        console.print(line, soft_wrap=True)


def decimals(values: np.ndarray) -> int:
    """How many decimals the values have; at most four."""
    return next((digits for digits in range(4) if abs(values - values.round(digits)).max() < 1e-9), 4)


def conclusions(ranking: Ranking) -> list[str]:
    """The tests and what follows from them, in sentences."""
    test, k, n = ranking.friedman, len(ranking.methods), len(ranking.ranks)
    alike = 'not defined, as all data sets rank alike'
    second = alike if test.f is None else f'F({k - 1}, {(k - 1) * (n - 1)}) = {test.f:.3f}, p = {test.p_f:.4g}'
    lines = [f'Friedman: chi2({k - 1}) = {test.chi2:.3f}, p = {test.p:.4g}; Iman-Davenport: {second}']
    if ranking.wilcoxon is not None:
        lines.append(f'of two methods this is the sign test; Wilcoxon signed-rank, which is more powerful: '
                     f'p = {ranking.wilcoxon:.4g}')
    lines.append(f'Nemenyi: critical difference of mean ranks {ranking.critical:.3f} (alpha {ranking.alpha:g})')
    better = [f'{ranking.methods[i]} is significantly better than '
              f'{", ".join(ranking.methods[j] for j in ranking.worse_than(i))}'
              for i in ranking.order if ranking.worse_than(i)]
    if not ranking.can_differ:
        lines.append(f'with {n} data sets no two of {k} methods can differ significantly: mean ranks differ by at most '
                     f'{k - 1}; compare on more data sets, or fewer methods')
    elif not better:
        unequal = "Friedman's test rejects that all are equal, but " if test.p <= ranking.alpha else ''
        lines.append(f'{unequal}no two methods differ significantly')
    elif test.p > ranking.alpha:
        lines.append("Friedman's test does not reject that all methods are equal, so do not rely on these:")
    return lines + better


def as_json(ranking: Ranking, table: ResultTable, higher: bool) -> dict:
    """All figures by names, for ``--out``."""
    from dataclasses import asdict

    methods = {table.methods[i]: dict(mean_rank=float(ranking.means[i]), ranks=ranking.ranks[:, i].tolist(),
                                      values=table.values[:, i].tolist(),
                                      better_than=[table.methods[j] for j in ranking.worse_than(i)])
               for i in ranking.order}
    return dict(metric=table.metric, higher_is_better=higher, alpha=ranking.alpha, data_sets=table.data_sets,
                friedman=asdict(ranking.friedman), wilcoxon=ranking.wilcoxon, critical_difference=ranking.critical,
                methods=methods)
