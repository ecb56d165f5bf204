"""Measurements as tables on the screen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table

from mmext.benchmark.machine import LIBRARIES
from mmext.benchmark.setup import Setup
from mmext.benchmark.steps import PARTS

RATIO = 'ratio (range)'
NOTE = ('ratio: time divided by that of the first model in the same turn, median and range of the turns; below 1 is '
        'faster.')


def header(machine: dict, setup: Setup) -> list[str]:
    """The lines that say on which machine and how it was measured."""
    cudnn = f'cuDNN {machine["cudnn"]}' if machine['cudnn'] else 'no cuDNN'
    versions = ', '.join(f'{name} {machine[name]}' for name in LIBRARIES if machine[name])
    formats = 'channels last' if setup.memory_format == 'channels_last' else 'contiguous'
    lines = [f'torch {machine["torch"]}, {cudnn}, Python {machine["python"]}, {versions}',
             f'{machine["device"]}, {machine["threads"]} of {machine["cores"]} threads, load {machine["load"]}']
    how = [setup.dtype, formats, f'torch.compile ({setup.compile})' if setup.compile else 'eager',
           'inference: predictions' if setup.predict else 'inference: the network alone']
    if setup.device == 'cuda':
        how.append(f'cuDNN benchmark {"on" if setup.cudnn_benchmark else "off"}')
    lines.append(', '.join(how))
    if machine.get('peak'):
        lines.append(f'peak {flops(machine["peak"])} in {setup.dtype}, the best of matrix products and convolutions')
    return lines


def print_tables(records: Sequence[dict], console: Console) -> None:
    """Prints a table of each part that was measured."""
    for table in (models(records), throughput(records), training(records), data(records), transforms(records)):
        if table is not None:
            console.print(table)
    console.print(NOTE, soft_wrap=True)


def new_table(title: str, *columns: str, left: int = 1) -> Table:
    """An empty table whose first ``left`` columns are aligned to the left, the others to the right."""
    table = Table(title=title, title_justify='left')
    for i, column in enumerate(columns):
        table.add_column(column, justify='left' if i < left else 'right', no_wrap=True)
    return table


def models(records: Sequence[dict]) -> Table:
    """What the models are, and their latency."""
    timed = 'latency' in records[0]
    title, columns = 'models', ['model', 'input', 'params, M', 'MACs, G']
    if timed:
        calls = next((record['latency']['calls'] for record in records if 'calls' in record['latency']), 0)
        title = f'models, and latency at batch 1, of {calls} calls'
        columns += ['median, ms', 'p90, ms', 'p99, ms', RATIO]
    table = new_table(title, *columns)
    for record in records:
        row = [record['name'], ' x '.join(map(str, record['input'])), f'{record["params"] / 1e6:.2f}',
               f'{record["macs"] / 1e9:.2f}']
        if timed:
            row += times(record['latency'], 'median', 'p90', 'p99')
        table.add_row(*row)
    return table


def throughput(records: Sequence[dict]) -> Table | None:
    """A row for each batch size and model: throughput, and memory of inference."""
    parts = [part for part in ('throughput', 'memory') if part in records[0]]
    if not parts:
        return None
    columns = {'throughput': ['samples/s', 'ms a batch', 'of peak', RATIO],
               'memory': ['peak memory, MiB']}
    table = new_table('inference over batch sizes', 'batch', 'model', *sum((columns[part] for part in parts), []),
                      left=2)
    for i, batch in enumerate(batches_of(records[0])):
        for record in records:
            row = [str(batch), record['name']]
            if 'throughput' in record:
                row += throughput_cells(record['throughput'][i])
            if 'memory' in record:
                row.append(mebibytes(record['memory']['inference'][i]['bytes']))
            table.add_row(*row, end_section=record is records[-1])
    return table


def batches_of(record: dict) -> Iterator[int]:
    """The batch sizes of a record, from throughput or memory."""
    rows = record.get('throughput') or record['memory']['inference']
    return (row['batch'] for row in rows)


def throughput_cells(row: dict) -> list[str]:
    """Samples/s, milliseconds of a batch, share of the peak, and ratio."""
    if 'error' in row:
        return [row['error'], '-', '-', '-']
    time, against = times(row, 'median')
    share = f'{100 * row["share_of_peak"]:.1f} %' if 'share_of_peak' in row else '-'
    return [number(row['samples_per_s']), time, share, against]


def training(records: Sequence[dict]) -> Table | None:
    """A training step and its parts, with the wait for data if data were measured."""
    if 'train' not in records[0]:
        return None
    fed = any('with_data' in record['train'] for record in records)
    remembered = 'memory' in records[0]
    columns = ['model', 'samples/s', 'step', *PARTS, RATIO]
    columns += ['data', 'waits for data'] if fed else []
    columns += ['peak memory, MiB'] if remembered else []
    table = new_table(f'training step of batch {records[0]["train"]["batch"]}, ms', *columns)
    for record in records:
        row, real = record['train'], record['train'].get('with_data')
        if 'error' in row:
            cells = [row['error'], *['-'] * (len(PARTS) + 2)]
        else:
            *spent, against = times(row, 'median', *PARTS)
            cells = [number(row['samples_per_s']), *spent, against]
        if fed:
            cells += [milliseconds(real['data']), f'{100 * real["waiting_share"]:.1f} %'] if real else ['-', '-']
        if remembered:
            cells.append(mebibytes(record['memory']['train']['bytes']))
        table.add_row(record['name'], *cells)
    return table


def data(records: Sequence[dict]) -> Table | None:
    """The speed of the loader without training, and of decoding and augmentation in one process."""
    if not any(record.get('data') for record in records):
        return None
    table = new_table('training data on their own, samples/s', 'model', 'loader', 'workers', 'decoding, one process',
                      'augmentation, one process')
    for record in records:
        found = record['data']
        cells = [number(found['samples_per_s']), str(found['workers']), number(found['decode_per_s']),
                 number(found['augment_per_s'])] if found else ['-'] * 4
        table.add_row(record['name'], *cells)
    return table


def transforms(records: Sequence[dict]) -> Table | None:
    """Each transform of each training pipeline; of pipelines with the same figures only the first."""
    shown: list[list[dict]] = []
    table = new_table('transforms of the training pipeline, one process', 'model', 'transform', 'kind', 'ms a sample',
                      'samples/s', 'share', left=3)
    for record in records:
        rows = (record.get('data') or {}).get('transforms') or []
        if not rows or rows in shown:  # shares the data of an earlier model
            continue
        shown.append(rows)
        for i, row in enumerate(rows):
            table.add_row('' if i else record['name'], row['transform'], row['kind'],
                          f'{1000 * row["seconds"]:.3f}', number(1 / row['seconds'] if row['seconds'] > 0 else None),
                          f'{100 * row["share"]:.1f} %', end_section=i == len(rows) - 1)
    return table if shown else None


def times(row: dict, *keys: str) -> list[str]:
    """Cells of some seconds of a row, in ms, and of its ratio; of its error if it has one."""
    if 'error' in row:
        return [row['error'], *['-'] * len(keys)]
    return [*(milliseconds(row[key]) for key in keys), ratio_cell(row['ratio'])]


def ratio_cell(ratio: dict | None) -> str:
    """'0.950 (0.90 to 1.20)'; '1' for the first model, '-' where there is no ratio."""
    if ratio is None or ratio['min'] == ratio['max'] == 1:
        return '1' if ratio else '-'
    return f'{ratio["median"]:.3f} ({ratio["min"]:.2f} to {ratio["max"]:.2f})'


def milliseconds(seconds: float) -> str:
    """Seconds as milliseconds."""
    return number(1000 * seconds)


def number(value: float | None) -> str:
    """Small numbers with decimals, large ones with a comma for every thousand; '-' for None."""
    if value is None:
        return '-'
    return f'{value:,.0f}' if value >= 1000 else f'{value:.1f}' if value >= 100 else f'{value:.2f}'


def mebibytes(count: int | None) -> str:
    """Bytes in MiB; None is 'out of memory'."""
    return 'out of memory' if count is None else f'{count / 2**20:,.1f}'


def flops(value: float) -> str:
    """FLOP/s in GFLOP/s or TFLOP/s."""
    unit, size = ('TFLOP/s', 1e12) if value >= 1e12 else ('GFLOP/s', 1e9)
    return f'{value / size:.1f} {unit}'
