"""What ``mmext paths`` prints: the unrolled sum, the table of lengths, the list of paths; the table of shares."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from fractions import Fraction

from mmext.analysis.paths.algebra import write_sum
from mmext.analysis.paths.shares import Share
from mmext.analysis.paths.unroll import MOST_PATHS, Unrolled, name_of

MOST_LISTED = 128  # paths
MOST_ROWS = 64  # lengths in a table of shares
LEAST = 0.0001  # share of a length in a longer table
LARGEST = 10**16  # number of paths that is printed with all its digits


def number(value: Fraction) -> str:
    """A whole number as it is, another or a very large one with six digits."""
    if value.denominator == 1 and abs(value.numerator) < LARGEST:
        return str(value.numerator)
    return f'{Decimal(value.numerator) / Decimal(value.denominator):.6g}'


def lines_of(unrolled: Unrolled) -> Iterator[str]:
    """The sum of the paths, how many there are of each length, and all of them."""
    name = name_of(unrolled.formula)
    yield f'X[i] = {unrolled.formula}{f"   ({name})" if name else ""}'
    paths = unrolled.paths
    left = f'dX[{unrolled.last}]/dX[{unrolled.first}]'
    if paths is None:
        yield f'{left} has more than {MOST_PATHS} paths, which are counted and not listed'
    else:
        rest = len(paths) - MOST_LISTED
        yield f'{left} = {write_sum(paths[:MOST_LISTED])}{f" + ... ({rest} more)" if rest > 0 else ""}'
    yield ''
    yield from count_lines(unrolled)
    if paths:
        yield ''
        yield 'length  factor  blocks that the path goes through'
        for path in paths[:MOST_LISTED]:
            blocks = ' '.join(map(str, path.blocks)) or 'none'
            yield f'{path.length:6}  {float(path.factor):6g}  {blocks}'
        if len(paths) > MOST_LISTED:
            yield f'... and {len(paths) - MOST_LISTED} more'
    if unrolled.through_last_blocks:
        yield 'Each path goes through the last blocks, as many as it is long.'


def count_lines(unrolled: Unrolled) -> Iterator[str]:
    """A table of the numbers of paths by length, with the closed form where there is one."""
    form = unrolled.closed_form
    paths = unrolled.paths
    plain = paths is None or all(path.factor == 1 for path in paths)
    products = Counter(path.length for path in paths or ())
    lengths = sorted({*unrolled.counts, *products})
    head = f'{"length":>6}  {"paths":>12}' + ('' if plain else f'  {"sum of factors":>14}')
    yield head + (f'  closed form: {form.words}' if form else '')
    for length in lengths:
        count = unrolled.counts.get(length, Fraction(0))
        line = f'{length:6}  {number(count) if plain else products[length]:>12}'
        if not plain:
            line += f'  {number(count):>14}'
        yield line + (f'  {unrolled.closed_count(length)}' if form else '')
    if form:
        n = unrolled.last - unrolled.first
        same = all(unrolled.counts.get(k, 0) == unrolled.closed_count(k) for k in range(n + 1))
        yield f'The counts {"are" if same else "are not"} those of the closed form, with n = {n}.'


def share_lines(rows: Sequence[Share]) -> Iterator[str]:
    """A table of the shares of the gradient by length; of more than ``MOST_ROWS`` only those above ``LEAST``."""
    yield f'{"length":>6}  {"paths":>16}  {"of the norm":>11}  {"along the gradient":>18}'
    listed = [row for row in rows if row.paths or row.norm]
    if len(listed) > MOST_ROWS:
        listed = [row for row in listed if row.norm >= LEAST]
        yield f'(lengths with at least {LEAST:.2%} of the norm)'
    for row in listed:
        yield f'{row.length:6}  {number(row.paths):>16}  {row.norm:11.2%}  {row.along:18.2%}'
    mean = sum(row.length * row.norm for row in rows)
    paths = sum(abs(row.paths) for row in rows)
    yield f'mean length: {mean:.2f} by norm' + (
        f', {float(sum(row.length * abs(row.paths) for row in rows) / paths):.2f} of the paths' if paths else '')
