"""Recursion formulas of residual networks (Liao et al., arXiv 2108.08689): parsing and data structure, without torch.

A formula defines the output X[i] of block i from the outputs X of earlier blocks. W[j] is the residual branch of
block j, and X[0] is the output of the stem:

    relu(W[i] X[i-1] + X[i-1])                        plain ResNet
    relu(W[i] X[i-1] + X[i-1]) - W[i-1] X[i-2]        the paper's design (eq. 20)
    relu(T[i] W[i] X[i-1] + (1 - T[i]) X[i-1])        a highway (eq. 1), whose gate T[i] is computed from X[i-1]
    W[i] X[i-1] + W[i] W[i-1] X[i-2]                  block i's branch also runs on that of block i - 1
    (1 + W[i]) X[i-1] - W[i] X[i-2]                   block i's branch also runs on the output of block i - 2

The terms inside relu(...) are summed and rectified; the other terms are added to the result. W[i-1] X[i-2] was already
computed by block i - 1, so it is reused and not computed again. Parentheses are multiplied out, so that
(1 + W[i]) X[i-1] is X[i-1] + W[i] X[i-1], and a text may begin with X[i] = ...
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import NoReturn

from mmext.backbones.expression import Grammar, Node, Reader, Symbol, expand
from mmext.errors import UserError

FORMULAS = {
    'resnet': 'relu(W[i] X[i-1] + X[i-1])',
    'eq20': 'relu(W[i] X[i-1] + X[i-1]) - W[i-1] X[i-2]',
    'eq21': 'relu(W[i] X[i-1]) + X[0]',
    'appendix1': 'relu(W[i] X[i-1]) + X[i-2]',
    'appendix2': 'relu(W[i] X[i-1]) + W[i-1] X[i-2]',
    'plain': 'relu(W[i] X[i-1])',
    'highway': 'relu(T[i] W[i] X[i-1] + (1 - T[i]) X[i-1])',
}
GRAMMAR = Grammar('formula', ('W', 'X', 'T'), ('i', ),
                  hint='; a formula is a sum of terms such as W[i] X[i-1] or X[0], optionally starting with relu(...), '
                       f'or one of {", ".join(FORMULAS)}')
GATES = {'': '', 'T': 'T[i] ', 'C': '(1 - T[i]) '}


@dataclass(frozen=True)
class Term:
    """``factor`` * X[i-back], to which branches W are applied, and then a gate.

    Args:
        factor: The factor.
        back: How many blocks before block i; None for X[0], which has no weights.
        weights: The same of each W, in the order of the text, so that the last one is applied first.
        gate: 'T' for the gate T[i], 'C' for 1 - T[i], or ''.
    """

    factor: float
    back: int | None
    weights: tuple[int, ...] = ()
    gate: str = ''

    @property
    def latest(self) -> int | None:
        """How many blocks before block i the term was computed; None for X[0]."""
        return self.weights[0] if self.weights else self.back

    @property
    def is_own(self) -> bool:
        """Whether W[i], the branch of the block itself, is applied last."""
        return self.latest == 0

    @property
    def is_shortcut(self) -> bool:
        """Whether this is X[i-1], the input of the block, perhaps with a gate."""
        return not self.weights and self.back == 1

    @property
    def source(self) -> Term:
        """The same without factor and gate."""
        return Term(1, self.back, self.weights)

    @property
    def inner(self) -> Term:
        """What the leftmost W is applied to."""
        return Term(1, self.back, self.weights[1:])

    @property
    def when_own(self) -> Term:
        """The product as the block computes it that the leftmost W belongs to: W[i] X[i-1] for W[i-1] X[i-2]."""
        assert self.back is not None and self.weights  # X[0] has no weights
        first = self.weights[0]
        return Term(1, self.back - first, tuple(weight - first for weight in self.weights))

    def __str__(self) -> str:
        weights = ''.join(f'{at("W", weight)} ' for weight in self.weights)
        state = 'X[0]' if self.back is None else at('X', self.back)
        return f'{size(self.factor)}{GATES[self.gate]}{weights}{state}'


BRANCH = Term(1, 1, (0, ))  # W[i] X[i-1]


@dataclass(frozen=True)
class Formula:
    """The terms of X[i]: those inside relu(...), and those added afterwards."""

    rectified: tuple[Term, ...]
    added: tuple[Term, ...]

    def __str__(self) -> str:
        """The text that ``parse_formula`` reads as this formula."""
        text = f'relu({join(self.rectified)})' if self.rectified else ''
        if not self.added:
            return text
        return f'{text} {join(self.added, continued=True)}' if text else join(self.added)

    @property
    def terms(self) -> tuple[Term, ...]:
        """All terms."""
        return self.rectified + self.added

    @property
    def past(self) -> tuple[Term, ...]:
        """What comes from earlier blocks, without factors and gates: all but what ends in the block's own branch."""
        return tuple(dict.fromkeys(term.source for term in self.terms if not term.is_own))

    @property
    def gated(self) -> bool:
        """Whether there is a gate."""
        return any(term.gate for term in self.terms)

    @property
    def outputs_kept(self) -> int:
        """How many of the latest outputs X must be kept for the next block."""
        reads = [term.back for term in (*self.terms, *(own.inner for own in self.kept)) if not term.weights]
        return max([1, *[back or 1 for back in reads]])

    @cached_property
    def kept(self) -> dict[Term, int]:
        """The products that each block computes with its own branch -> how many of the latest the next block needs.

        The first one is the branch itself, W[i] X[i-1].
        """
        found = {BRANCH: 0} if any(term.weights for term in self.terms) else {}
        pending = [term for term in self.terms if term.weights]
        while pending:
            term = pending.pop(0)
            own = term.when_own
            found[own] = max(found.get(own, 0), term.weights[0])
            if own.inner.weights:
                pending.append(own.inner)
        return found

    @property
    def branches_kept(self) -> int:
        """How many values of products with branches must be kept for the next block."""
        return sum(self.kept.values())

    @property
    def origin_kept(self) -> bool:
        """Whether the formula reads X[0], the output of the stem."""
        return any(term.back is None for term in self.terms)

    def check_reach(self, blocks: int) -> None:
        """Raises UserError if a term refers further back than a network with this many blocks goes."""
        for term in self.terms:
            if term.back is not None and term.back > blocks:
                raise UserError(f'formula: X[i-{term.back}] does not exist in a network of {blocks} blocks')


def at(letter: str, back: int) -> str:
    """'W[i]' for 0, 'W[i-2]' for 2."""
    return f'{letter}[i-{back}]' if back else f'{letter}[i]'


def size(factor: float) -> str:
    """The absolute value of a factor before a product; '' for one."""
    return '' if abs(factor) == 1 else f'{Decimal(repr(abs(factor))).normalize():f} '


def join(terms: tuple[Term, ...], continued: bool = False) -> str:
    """Terms with the signs between them; if ``continued``, they follow others, so that the first has its sign too."""
    text = ' '.join(f'{"-" if term.factor < 0 else "+"} {term}' for term in terms)
    if continued:
        return text
    return text[2:] if text.startswith('+') else f'-{text[2:]}'


def parse_formula(text: str) -> Formula:
    """Parses a formula, or looks up a name in ``FORMULAS``.

    Raises:
        UserError: The text can't be parsed, or refers to a block that does not exist when block i is computed. The
            message has the position and what was expected there.
    """
    if not isinstance(text, str):
        raise UserError(f'formula={text!r}: need a text such as {FORMULAS["eq20"]!r}, or one of {", ".join(FORMULAS)}')
    text = FORMULAS.get(text.strip(), text)
    reader = Reader(text, GRAMMAR)
    read_left_side(reader)
    rectified, added = read_right_side(reader)
    formula = Formula(make_terms(rectified, text), make_terms(added, text))
    if not any(term.is_own and has_branch(term) for term in formula.terms):
        raise UserError(f"formula {text!r}: the term W[i] X[i-1], the block's own branch, is missing")
    return formula


def has_branch(term: Term) -> bool:
    """Whether W[i] X[i-1] is part of a product, perhaps of another block's."""
    return bool(term.weights) and (term.when_own == BRANCH or has_branch(term.inner))


def read_left_side(reader: Reader) -> None:
    """Goes past X[i] = at the beginning; the name of its index is that of the formula."""
    if reader.sees('X', '[') and [token.text for token in reader.tokens[3:5]] == [']', '=']:
        name = reader.tokens[2]
        if name.kind != 'word':
            reader.fail('a name, as in X[i] = ...', name)
        reader.names = (name.text, )
        reader.place = 5


def read_right_side(reader: Reader) -> tuple[Node | None, Node | None]:
    """The sums inside relu(...) and after it; None for each that is not there."""
    if not reader.takes('relu'):
        added = None if reader.next.kind == 'end' else reader.sum()
        reader.end()
        return None, added
    reader.require('(', '( after relu')
    rectified = None if reader.takes(')') else reader.parenthesis()
    added = reader.sum() if reader.sees('+') or reader.sees('-') else None
    reader.end()
    return rectified, added


def make_terms(node: Node | None, text: str) -> tuple[Term, ...]:
    """The terms of a sum, multiplied out. Raises UserError if one of them makes no sense."""
    if node is None:
        return ()
    words = expand(node, f'formula {text!r}')
    return tuple(make_term(float(factor), letters, text) for factor, letters in words)


def make_term(factor: float, letters: tuple[Symbol, ...], text: str) -> Term:
    """Makes a term of its factor and letters. Raises UserError if it refers to a block that does not exist."""
    def fail(problem: str, symbol: Symbol) -> NoReturn:
        raise UserError(f'formula {text!r}: {problem} (character {symbol.position})')

    if not letters:
        raise UserError(f'formula {text!r}: the term {factor:g} has no X[...]')
    *before, state = letters
    for symbol, following in zip(letters, letters[1:]):
        if symbol.letter == 'X':
            fail(f'expected + or - after {symbol}, which ends a term, and not {following}', following)
    if state.letter != 'X':
        fail(f'{name_of(state)} needs what it is applied to: expected W[...] or X[...] after it', state)
    back = steps_back(state, fail)
    if back is not None and back < 1:
        fail(f'{state} does not exist when block i is computed; the latest is X[i-1]', state)
    gate = before.pop(0) if before and before[0].letter in 'TC' else None
    if gate and steps_back(gate, fail) != 0:
        fail(f'{name_of(gate)} is the gate of another block; expected T[i]', gate)
    weights: list[int] = []
    for symbol, following in zip(reversed(before), reversed(letters)):
        if symbol.letter != 'W':
            fail(f'{name_of(symbol)} can only stand first in its term', symbol)
        weight = steps_back(symbol, fail)
        if weight is None or weight < 0:
            fail(f'there is no block {symbol} when block i is computed', symbol)
        if back is None or weight >= (weights[0] if weights else back):
            fail(f'{symbol} takes the output of an earlier block, not {following}', symbol)
        weights.insert(0, weight)
    return Term(factor, back, tuple(weights), gate.letter if gate else '')


def name_of(symbol: Symbol) -> str:
    """The symbol as it stands in a text."""
    return f'(1 - T[{symbol.index}])' if symbol.letter == 'C' else str(symbol)


def steps_back(symbol: Symbol, fail: Callable[[str, Symbol], NoReturn]) -> int | None:
    """How many blocks before block i: 2 for X[i-2], -1 for X[i+1]; None for X[0]. Calls ``fail`` for another number."""
    if symbol.index.base:
        return -symbol.index.offset
    if symbol.index.offset:
        fail(f'{symbol} does not exist for every block; write [i-1], [i-2] ..., or X[0] for the stem\'s output', symbol)
    return None
