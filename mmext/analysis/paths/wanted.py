"""Wanted sums of paths as text: how the derivative of X[L] by X[j] is to depend on the weights of the blocks.

    1 + W[L] + W[L] W[L-1] + ... + W[L] ... W[j+1]         eq. 12: one path of each length, through the last blocks
    (1 + W[L]) ... (1 + W[j+1])                            all paths
    1 + sum(k = j+1 .. L: W[L] ... W[k+1] W[k-1] ... W[j+1])

Dots between two factors go on by one block each, down from the first to the last. Dots between two terms go on from the
term before them to the term after, each of which is a product of consecutive weights. sum(...) is for all other sums.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import sympy

from mmext.analysis.paths.algebra import ONE, letter, paths_of
from mmext.analysis.paths.unroll import MOST_PATHS
from mmext.backbones.expression import Dots, Grammar, Index, Node, Over, Product, Reader, Sum, Symbol
from mmext.errors import UserError

WANTED = {
    'plain': 'W[L] ... W[j+1]',
    'resnet': '(1 + W[L]) ... (1 + W[j+1])',
    'eq12': '1 + W[L] + W[L] W[L-1] + ... + W[L] ... W[j+1]',
}
GRAMMAR = Grammar('wanted sum', ('W', ), ('L', 'j'), dots=True,
                  hint=f"; write a sum of products of weights such as {WANTED['eq12']!r}, or one of "
                       f"{', '.join(WANTED)}")
Values = Mapping[str, int]  # of L, j and the names of sums
Terms = tuple[tuple[int, Node], ...]  # with the sign of each
MOST_STEPS = 20_000


@dataclass(frozen=True)
class Run:
    """W[high] ... W[low], down by one block each; empty where high is low - 1."""

    high: Index
    low: Index


class Wanted:
    """A wanted sum of paths.

    Args:
        text: The text, or a name in ``WANTED``.

    Raises:
        UserError: The text can't be read, or has no meaning.
    """

    def __init__(self, text: str) -> None:
        self.text = WANTED.get(text.strip(), text)
        reader = Reader(self.text, GRAMMAR)
        self.tree = reader.sum()
        reader.end()
        self.between(0, 8)

    def fail(self, problem: str) -> UserError:
        """The error that says what is wrong with the text."""
        return UserError(f'wanted sum {self.text!r}: {problem}')

    def between(self, first: int, last: int) -> sympy.Expr:
        """The sum for j = first and L = last, multiplied out.

        Raises:
            UserError: The text has no meaning for these.
        """
        self.first, self.last, self.taken = first, last, 0
        found = sympy.expand(self.value(self.tree, dict(L=last, j=first)))
        for path in paths_of(found):
            if any(above <= below for above, below in pairwise(path.blocks)):
                raise self.fail(f'a path goes through each block once, from the last to the first, but there is '
                                f'{path.text(("L", last))}')
        return found

    def weight(self, block: int, name: str) -> sympy.Expr:
        """The weights of a block. Raises UserError if it isn't between the two blocks."""
        if not self.first < block <= self.last:
            number = f'block {block}, ' if name != f'W[{block}]' else ''
            raise self.fail(f'{name} is {number}not one of the blocks j+1 to L for j = {self.first} and '
                            f'L = {self.last}')
        return letter('W', block)

    def value(self, node: Node, values: Values, shift: int = 0) -> sympy.Expr:
        """The value of a tree, with ``shift`` added to the indices of all weights."""
        self.taken += 1
        if self.taken > MOST_STEPS:
            raise self.fail('it has too many terms')
        if isinstance(node, Fraction):
            return sympy.Rational(node.numerator, node.denominator)
        if isinstance(node, Symbol):
            return self.weight(at(node.index, values) + shift, str(node))
        if isinstance(node, Over):
            return sympy.Add(*[self.value(node.body, {**values, node.name: k}, shift)
                               for k in range(at(node.first, values), at(node.last, values) + 1)])
        if isinstance(node, Product):
            return self.product(node.factors, values, shift)
        assert isinstance(node, Sum)
        return self.sum(node.terms, values, shift)

    def product(self, factors: tuple[Node, ...], values: Values, shift: int) -> sympy.Expr:
        """The value of a product, in which dots stand for the factors between their two neighbours."""
        found = ONE
        place = 0
        while place < len(factors):
            dots = self.dots_after(factors, place, values)
            if dots is None:
                found = self.times(found, self.value(factors[place], values, shift))
                place += 1
                continue
            steps = self.steps(factors[place], factors[dots + 1], values)
            for n in range(steps):
                found = self.times(found, self.value(factors[place], values, shift - n))
            place = dots + 2
        return found

    def times(self, left: sympy.Expr, right: sympy.Expr) -> sympy.Expr:
        """The product of two sums, multiplied out. Raises UserError if it has too many terms."""
        if len(sympy.Add.make_args(left)) * len(sympy.Add.make_args(right)) > MOST_PATHS:
            raise self.fail(f'it has more than {MOST_PATHS} terms for L = j+{self.last - self.first}')
        return sympy.expand(left * right)

    def dots_after(self, factors: tuple[Node, ...], place: int, values: Values) -> int | None:
        """Where the dots are that go on from a factor, perhaps after some more that do so; None if there are none."""
        for later in range(place + 1, len(factors)):
            factor = factors[later]
            if isinstance(factor, Dots):
                return later
            if shape(factor, values) != shape(factors[place], values, place - later):
                return None
        return None

    def steps(self, first: Node, last: Node, values: Values) -> int:
        """How many factors go down by one block each from the first to the last.

        Raises:
            UserError: The last doesn't have the form of the first, or is not below it.
        """
        (form, high), (form_of_last, low) = shape(first, values), shape(last, values)
        distances = {a - b for a, b in zip(high, low)}
        if form != form_of_last or len(distances) != 1:
            raise self.fail('the factors before and after ... differ in more than the number of the block')
        distance = distances.pop()
        if distance < -1:
            raise self.fail('... between two factors go from a block down to an earlier one, as in W[L] ... W[j+1], '
                            f'but here from block {high[0]} to {low[0]} for j = {self.first} and L = {self.last}')
        return distance + 1

    def sum(self, terms: Terms, values: Values, shift: int) -> sympy.Expr:
        """The value of a sum, in which dots stand for the terms between their two neighbours."""
        found = sympy.Integer(0)
        place = 0
        while place < len(terms):
            sign, term = terms[place]
            dots = next((later for later in range(place + 1, len(terms)) if isinstance(terms[later][1], Dots)), None)
            runs = None if dots is None else self.runs(terms[place:dots], terms[dots:dots + 2], values)
            if runs is None:
                found += sign * self.value(term, values, shift)
                place += 1
                continue
            assert dots is not None
            for high, low in runs:
                found += sign * sympy.Mul(*[self.weight(block + shift, f'W[{block}]')
                                            for block in range(high, low - 1, -1)])
            place = dots + 2
        return found

    def runs(self, given: Terms, dots: Terms, values: Values) -> list[tuple[int, int]] | None:
        """The blocks (high, low) of all terms that dots stand for, with those before and after them.

        Args:
            given: The terms before the dots.
            dots: The dots, and the term after them.
            values: Of L, j and the names of sums.

        Returns:
            None if the first terms do not belong to those that the dots continue.

        Raises:
            UserError: The terms around the dots aren't consecutive weights, or can't be continued.
        """
        place = dots[0][1]
        assert isinstance(place, Dots)
        if not given or len(dots) < 2 or isinstance(dots[1][1], Dots):
            raise self.fail(f'... at character {place.position} needs a term before and after it')
        sign, end = dots[1]
        before, after = run_of(given[-1][1]), run_of(end)
        if before is None or after is None or given[-1][0] != sign:
            raise self.fail('the terms before and after ... need the same sign, and are products of consecutive '
                            'weights, as in W[L] + W[L] W[L-1] + ... + W[L] ... W[j+1]; write other sums as '
                            'sum(k = j+1 .. L: ...)')
        moves = (move(before.high, after.high), move(before.low, after.low))
        if moves == (0, 0):
            raise self.fail('the terms before and after ... are the same')
        first = before
        for other, term in reversed(given[:-1]):
            first = Run(shifted(first.high, -moves[0]), shifted(first.low, -moves[1]))
            if other != sign or not (run_of(term) == first or (term == 1 and is_empty(first))):
                return None
        start, stop = ((at(run.high, values), at(run.low, values)) for run in (first, after))
        counts = {(b - a) * step + 1 for a, b, step in zip(start, stop, moves) if step}
        if len(counts) > 1 or min(counts) < 0:
            raise self.fail(f'... can\'t go from the term before it to the one after it for j = {self.first} and '
                            f'L = {self.last}')
        return [(start[0] + n * moves[0], start[1] + n * moves[1]) for n in range(counts.pop())]


def at(index: Index, values: Values) -> int:
    """The value of an index."""
    return (values[index.base] if index.base else 0) + index.offset


def shape(node: Node, values: Values, shift: int = 0) -> tuple[object, list[int]]:
    """A factor without the numbers of its blocks, and these numbers with ``shift`` added."""
    if isinstance(node, Symbol):
        return node.letter, [at(node.index, values) + shift]
    parts = [part for _, part in node.terms] if isinstance(node, Sum) else (
        node.factors if isinstance(node, Product) else [])
    signs = [sign for sign, _ in node.terms] if isinstance(node, Sum) else ()
    inside = [shape(part, values, shift) for part in parts]
    form = (type(node).__name__, tuple(signs), tuple(form for form, _ in inside), node if not parts else None)
    return form, [number for _, numbers in inside for number in numbers]


def run_of(term: Node) -> Run | None:
    """The blocks of a product of consecutive weights; None for any other term."""
    factors = term.factors if isinstance(term, Product) else (term, )
    symbols = [factor for factor in factors if isinstance(factor, Symbol)]
    if not symbols or not all(isinstance(factor, (Symbol, Dots)) for factor in factors):
        return None
    for first, second in pairwise(factors):
        if isinstance(first, Symbol) and isinstance(second, Symbol) and shifted(first.index, -1) != second.index:
            return None
    return Run(symbols[0].index, symbols[-1].index)


def move(index: Index, end: Index) -> int:
    """By how much each next index differs on the way from one to the other: 1, -1 or 0."""
    if index.base == end.base:
        return (index.offset < end.offset) - (index.offset > end.offset)
    return 1 if index.base == 'j' or end.base == 'L' else -1


def shifted(index: Index, step: int) -> Index:
    """The index of a block that many further on."""
    return Index(index.base, index.offset + step)


def is_empty(run: Run) -> bool:
    """Whether a product has no factor, whatever L and j are."""
    return run.high.base == run.low.base and run.high.offset == run.low.offset - 1
