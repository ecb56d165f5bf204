"""From a recursion formula to the paths between two blocks (eqs. 4 to 11), and how many there are of each length.

The derivative of X[L] by X[j] is a sum of products of weights, each of which is a path: the states before X[j] are held
fast. Gates are factors that paths go through, and are held fast too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import comb

import sympy

from mmext.analysis.paths.algebra import ONE, Path, letter, paths_of
from mmext.backbones.formula import FORMULAS, Formula, Term, parse_formula
from mmext.errors import UserError

MOST_BLOCKS = 500
MOST_PATHS = 1024  # that are multiplied out; a ResNet of ten blocks has as many


def check_blocks(first: int, last: int) -> None:
    """Raises UserError unless 0 <= first < last <= ``MOST_BLOCKS``."""
    if not 0 <= first < last <= MOST_BLOCKS:
        raise UserError(f'--from {first} --to {last}: need 0 <= from < to <= {MOST_BLOCKS}')


def read_block(term: Term, i: int) -> int:
    """The number of the block whose output a term of block i reads."""
    return 0 if term.back is None else i - term.back


def derivative(formula: Formula, first: int, last: int) -> sympy.Expr | None:
    """The derivative of X[last] by X[first], multiplied out.

    Returns:
        The sum of paths; None if there are more than ``MOST_PATHS``.
    """
    states: dict[int, sympy.Expr] = {first: ONE}
    for i in range(first + 1, last + 1):
        total = sympy.Integer(0)
        for term in formula.terms:
            read = read_block(term, i)
            if read in states:
                weights = [letter('W', i - weight) for weight in term.weights]
                gate = [letter(term.gate, i)] if term.gate else []
                total += sympy.Rational(Fraction(str(term.factor))) * sympy.Mul(*gate, *weights) * states[read]
        states[i] = sympy.expand(total)
        if len(sympy.Add.make_args(states[i])) > MOST_PATHS:
            return None
    return states[last]


def count_paths(formula: Formula, first: int, last: int, before: int = 0) -> dict[int, Fraction]:
    """The sum of the factors of all paths of each length, for any number of blocks; gates count as one.

    Args:
        formula: The formula.
        first, last: Numbers of the blocks.
        before: What the states before the first are: 0, or 1 where they are copies of it.

    Returns:
        Length -> sum, without the lengths whose sum is zero.
    """
    states: dict[int, dict[int, Fraction]] = {first: {0: Fraction(1)}}
    for i in range(first + 1, last + 1):
        total: dict[int, Fraction] = defaultdict(Fraction)
        for term in formula.terms:
            read = read_block(term, i)
            passed = sum(i - weight > first for weight in term.weights)  # W[0] X[-1] is X[0] where copies stand before
            for length, count in states.get(read, {0: Fraction(before)}).items():
                total[length + passed] += Fraction(str(term.factor)) * count
        states[i] = {length: count for length, count in total.items() if count}
    return dict(sorted(states[last].items()))


@dataclass(frozen=True)
class ClosedForm:
    """How many paths of length k lead through n blocks: in words, and as a function of n, k and whether from X[0]."""

    words: str
    count: Callable[[int, int, bool], int]


BINOMIAL = ClosedForm('C(n, k)', lambda n, k, origin: comb(n, k))
CLOSED_FORMS = {
    'plain': ClosedForm('1 of length n', lambda n, k, origin: int(k == n)),
    'highway': BINOMIAL,
    'resnet': BINOMIAL,
    'eq20': ClosedForm('1 of each length', lambda n, k, origin: 1),
    'eq21': ClosedForm('1 of each length from X[0], else 1 of length n',
                       lambda n, k, origin: int(origin or k == n)),
    'appendix1': ClosedForm('C((n+k)/2, k) where n-k is even',
                            lambda n, k, origin: comb((n + k) // 2, k) if (n - k) % 2 == 0 else 0),
    'appendix2': ClosedForm('C(k, n-k)', lambda n, k, origin: comb(k, n - k)),
}


def linear(formula: Formula) -> dict[tuple, float]:
    """The terms of a formula without relu(...): what is applied to which state -> its factor."""
    found: dict[tuple, float] = defaultdict(float)
    for term in formula.terms:
        found[term.back, term.weights, term.gate] += term.factor
    return {key: factor for key, factor in found.items() if factor}


def name_of(formula: Formula) -> str | None:
    """The name in ``FORMULAS`` of a formula with the same terms, wherever relu(...) is; None if there is none."""
    return next((name for name, text in FORMULAS.items() if linear(parse_formula(text)) == linear(formula)), None)


@dataclass(frozen=True)
class Unrolled:
    """A formula from one block to another.

    Args:
        formula: The formula.
        first, last: Numbers of the blocks.
        paths: The paths, shorter ones first; None where there are more than ``MOST_PATHS``.
        counts: The sum of the factors of the paths of each length.
    """

    formula: Formula
    first: int
    last: int
    paths: list[Path] | None
    counts: dict[int, Fraction]

    @property
    def closed_form(self) -> ClosedForm | None:
        """The closed form of the counts, of the formulas that have a name."""
        name = name_of(self.formula)
        return CLOSED_FORMS[name] if name else None

    def closed_count(self, length: int) -> int | None:
        """The number of paths of a length by the closed form; None where there is none."""
        form = self.closed_form
        return form.count(self.last - self.first, length, self.first == 0) if form else None

    @property
    def through_last_blocks(self) -> bool:
        """Whether every path goes through the last blocks, as many as it is long, and no other."""
        return self.paths is not None and all(
            path.blocks == tuple(range(self.last, self.last - path.length, -1)) for path in self.paths)


def unroll(formula: Formula, first: int, last: int) -> Unrolled:
    """All paths of a formula between two blocks.

    Raises:
        UserError: The numbers of the blocks make no sense.
    """
    check_blocks(first, last)
    total = derivative(formula, first, last)
    return Unrolled(formula, first, last, None if total is None else paths_of(total),
                    count_paths(formula, first, last))
