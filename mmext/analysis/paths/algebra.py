"""Sums of products of weights, which don't commute: letters of sympy, and how such a sum is written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import sympy

Letter = tuple[str, int]  # 'W' (a branch), 'T' (a gate) or 'C' (1 - T); the number of the block
ONE = sympy.Integer(1)


@cache
def letter(name: str, block: int) -> sympy.Symbol:
    """The symbol of a block's weights, gate or carry gate."""
    return sympy.Symbol(f'{name}_{block}', commutative=False)


def letter_of(symbol: sympy.Basic) -> Letter:
    """The opposite of ``letter``."""
    name, _, block = str(symbol).partition('_')
    return name, int(block)


@dataclass(frozen=True)
class Path:
    """A product of weights: its factor, and its letters from the left (the last block) to the right."""

    factor: Fraction
    letters: tuple[Letter, ...]

    @property
    def blocks(self) -> tuple[int, ...]:
        """The blocks whose weights the path goes through, from the last to the first."""
        return tuple(block for name, block in self.letters if name == 'W')

    @property
    def length(self) -> int:
        """How many weights the path goes through."""
        return len(self.blocks)

    def text(self, end: tuple[str, int] | None = None) -> str:
        """The product without its factor; '1' where it is empty. See ``index``."""
        names = dict(W='W[{}]', T='T[{}]', C='(1 - T[{}])')
        return ' '.join(names[name].format(index(block, end)) for name, block in self.letters) or '1'


def index(block: int, end: tuple[str, int] | None = None) -> str:
    """The number of a block; with ``end`` = ('L', 7) relative to block 7, as in 'L-2'."""
    if end is None:
        return str(block)
    name, last = end
    return f'{name}{block - last:+}' if block != last else name


def paths_of(expression: sympy.Expr) -> list[Path]:
    """The terms of an expanded sum: shorter ones first, those through later blocks first."""
    found = []
    for term in sympy.Add.make_args(expression):
        if term == 0:
            continue
        commuting, letters = term.args_cnc()
        powers = [symbol.as_base_exp() for symbol in letters]
        found.append(Path(Fraction(str(sympy.Mul(*commuting))), tuple(letter_of(base) for base, power in powers
                                                       for _ in range(int(power)))))
    return sorted(found, key=lambda path: (path.length, [-block for _, block in path.letters]))


def write_sum(paths: Iterable[Path], end: tuple[str, int] | None = None) -> str:
    """A sum as text: '1 + W[2] - 0.5 W[2] W[1]'; '0' if it is empty."""
    text = ''
    for path in paths:
        product = path.text(end)
        size = abs(path.factor)
        if size != 1:
            number = f'{float(size):g}' if size.denominator != 1 else str(size)
            product = number if not path.letters else f'{number} {product}'
        text += f'{" - " if path.factor < 0 else " + "}{product}'
    if not text:
        return '0'
    return text[3:] if text.startswith(' + ') else f'-{text[3:]}'
