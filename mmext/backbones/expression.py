"""The texts of formulas and of wanted sums of paths as trees: the only parser of both, without torch.

A text is a sum of products. A factor is a number, a letter with an index such as W[i-1], a sum in parentheses, or,
where the grammar allows them, dots between two factors or terms and sum(k = first .. last: body). The sign of a
multiplication may be left out. Positions in messages are counted in characters from 1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import NoReturn, Union

from mmext.errors import UserError

TOKEN = re.compile(r'\s*(?:(?P<dots>\.\.\.|…)|(?P<to>\.\.)|(?P<number>\d+(?:\.\d+)?)|(?P<word>[A-Za-z]\w*)'
                   r'|(?P<mark>[-+*()\[\]:=])|(?P<other>\S)|(?P<end>$))')
DIGITS = 30  # most digits of a number, which ends up as a float32
LONGEST = 2000  # most characters of a text
DEEPEST = 50  # most parentheses inside each other
MOST_TERMS = 1000  # of a text whose parentheses are multiplied out
LARGEST = 1e30  # factor of a term


@dataclass(frozen=True)
class Grammar:
    """What a kind of text may contain.

    Args:
        kind: What the text is, for messages.
        letters: The letters that have an index.
        names: The names that an index may begin with.
        dots: Whether there may be dots, and sum(...).
        hint: What a message about an unreadable text ends with.
    """

    kind: str
    letters: tuple[str, ...]
    names: tuple[str, ...]
    dots: bool = False
    hint: str = ''


@dataclass(frozen=True)
class Index:
    """``base`` + ``offset``; ``base`` is '' for a plain number."""

    base: str
    offset: int

    def __str__(self) -> str:
        return f'{self.base}{self.offset:+}' if self.base and self.offset else self.base or str(self.offset)


@dataclass(frozen=True)
class Symbol:
    """A letter with an index, and the character of the text (from 1) at which it stands."""

    letter: str
    index: Index
    position: int

    def __str__(self) -> str:
        return f'{self.letter}[{self.index}]'


@dataclass(frozen=True)
class Dots:
    """'...' between two terms or two factors."""

    position: int


@dataclass(frozen=True)
class Sum:
    """Terms with the sign of each, 1 or -1."""

    terms: tuple[tuple[int, Node], ...]


@dataclass(frozen=True)
class Product:
    """Factors in their order; they need not commute."""

    factors: tuple[Node, ...]


@dataclass(frozen=True)
class Over:
    """The sum of ``body`` over ``name`` = ``first`` .. ``last``."""

    name: str
    first: Index
    last: Index
    body: Node
    position: int


Node = Union[Fraction, Symbol, Dots, Sum, Product, Over]
Words = list[tuple[Fraction, tuple[Symbol, ...]]]  # factor, letters


@dataclass(frozen=True)
class Token:
    """A piece of a text: its kind (a group of ``TOKEN``), its characters, and its position from 1."""

    kind: str
    text: str
    position: int


def tokens(text: str) -> Iterator[Token]:
    """The pieces of a text, the last of which is of the kind 'end'."""
    for match in TOKEN.finditer(text):
        kind = str(match.lastgroup)
        yield Token(kind, match[kind], match.start(kind) + 1)
        if kind == 'end':
            return


class Reader:
    """Reads a text by recursive descent.

    Args:
        text: The text.
        grammar: What it may contain.

    Raises:
        UserError: The text is too long.
    """

    def __init__(self, text: str, grammar: Grammar) -> None:
        if len(text) > LONGEST:
            raise UserError(f'{grammar.kind} of {len(text)} characters: at most {LONGEST} can be read')
        self.text = text
        self.grammar = grammar
        self.names = grammar.names
        self.tokens = list(tokens(text))
        self.place = 0
        self.depth = 0

    @property
    def next(self) -> Token:
        """The token that comes next."""
        return self.tokens[self.place]

    def fail(self, expected: str, token: Token | None = None) -> NoReturn:
        """Raises UserError: what was expected, and where."""
        token = token or self.next
        rest = self.text[token.position - 1:]
        found = 'the end' if token.kind == 'end' else repr(rest if len(rest) <= 24 else f'{rest[:20]} ...')
        raise UserError(f'{self.grammar.kind} {self.text!r}: expected {expected} at character {token.position}, but '
                        f'there is {found}{self.grammar.hint}')

    def sees(self, *texts: str) -> bool:
        """Whether the next tokens are these."""
        return [token.text for token in self.tokens[self.place:self.place + len(texts)]] == list(texts)

    def takes(self, *texts: str) -> bool:
        """Goes past the next token if it is one of these; returns whether it is."""
        found = self.next.kind != 'end' and self.next.text in texts
        self.place += found
        return found

    def require(self, text: str, expected: str) -> None:
        """Goes past ``text``. Raises UserError if something else comes next."""
        if not self.takes(text):
            self.fail(expected)

    def end(self) -> None:
        """Raises UserError unless the text ends here."""
        if self.next.kind != 'end':
            self.fail('+, - or the end')

    def sum(self) -> Sum:
        """Reads terms up to the first token that continues none."""
        terms: list[tuple[int, Node]] = []
        while not terms or self.sees('+') or self.sees('-'):
            sign = -1 if self.sees('-') else 1
            self.takes('+', '-')
            terms.append((sign, self.product(bool(terms))))
        return Sum(tuple(terms))

    def product(self, continued: bool) -> Node:
        """Reads a term; ``continued`` if it follows another, so that it may be dots."""
        token = self.next
        if self.takes_dots(continued):
            return Dots(token.position)
        factors = [self.require_factor()]
        while True:
            token = self.next
            if self.takes('*'):
                factors.append(self.require_factor())
            elif self.takes_dots(True):
                factors += [Dots(token.position), self.require_factor()]
            elif (factor := self.factor()) is not None:
                factors.append(factor)
            else:
                return factors[0] if len(factors) == 1 else Product(tuple(factors))

    def takes_dots(self, allowed: bool) -> bool:
        """Goes past dots if they come next and may stand here."""
        found = self.next.kind == 'dots' and self.grammar.dots and allowed
        self.place += found
        return found

    def require_factor(self) -> Node:
        """Reads a factor. Raises UserError if none comes next."""
        factor = self.factor()
        return self.fail(self.expected_factor()) if factor is None else factor

    def expected_factor(self) -> str:
        """What a factor may be, in words."""
        letters = ', '.join(f'{letter}[...]' for letter in self.grammar.letters)
        return f'a number, {letters}{", sum(" if self.grammar.dots else ""} or ('

    def factor(self) -> Node | None:
        """Reads a factor; None if none comes next."""
        token = self.next
        if token.kind == 'number':
            self.place += 1
            return self.number(token)
        if token.text == '(':
            self.place += 1
            return self.parenthesis()
        if self.grammar.dots and self.sees('sum', '('):
            return self.over()
        if token.kind == 'word' and token.text in self.grammar.letters:
            self.place += 1
            self.require('[', f'[ after {token.text}')
            index = self.index()
            self.require(']', '] to close the index' if index.offset or not index.base else '+, - or ]')
            return Symbol(token.text, index, token.position)
        return None

    def number(self, token: Token) -> Fraction:
        """The value of a number. Raises UserError if it is too long."""
        if len(token.text) > DIGITS:
            raise UserError(f'{self.grammar.kind} {self.text!r}: the factor {token.text} has more than {DIGITS} digits')
        return Fraction(token.text)

    def parenthesis(self, close: str = '+, - or )') -> Node:
        """Reads a sum up to the parenthesis that closes it."""
        self.depth += 1
        if self.depth > DEEPEST:
            self.fail(f'at most {DEEPEST} parentheses inside each other')
        inside = self.sum()
        self.require(')', close)
        self.depth -= 1
        return inside

    def index(self) -> Index:
        """Reads an index: a number, or a name with a number added or taken away."""
        token = self.next
        if token.kind == 'number' and token.text.isdigit():
            self.place += 1
            return Index('', int(self.number(token)))
        if token.kind != 'word' or token.text not in self.names:
            self.fail(f'an index of {", ".join(self.names)} or a number, such as [{self.names[0]}-1]')
        self.place += 1
        if not self.sees('+') and not self.sees('-'):
            return Index(token.text, 0)
        sign = -1 if self.sees('-') else 1
        self.takes('+', '-')
        number = self.next
        if number.kind != 'number' or not number.text.isdigit():
            self.fail(f'a whole number, as in [{token.text}-1]')
        self.place += 1
        return Index(token.text, sign * int(self.number(number)))

    def over(self) -> Over:
        """Reads sum(k = first .. last: body)."""
        position = self.next.position
        self.place += 2
        name = self.next
        if name.kind != 'word' or name.text in (*self.names, *self.grammar.letters):
            self.fail('a new name, as in sum(k = j+1 .. L: W[k])')
        self.place += 1
        self.require('=', f'= after {name.text}')
        first = self.index()
        self.require('..', '.. and the last value, as in sum(k = j+1 .. L: W[k])')
        last = self.index()
        self.require(':', ':')
        outside, self.names = self.names, (*self.names, name.text)
        body = self.parenthesis()
        self.names = outside
        return Over(name.text, first, last, body, position)


def expand(node: Node, kind: str) -> Words:
    """Multiplies out: the terms of a tree without dots and sums over an index, in their order.

    (1 - T[i]), the carry gate of a highway, is a letter of its own, ``C``.

    Args:
        node: The tree.
        kind: What the text is, for messages.

    Raises:
        UserError: There are too many terms, or a factor is too large.
    """
    if isinstance(node, Fraction):
        return [(node, ())]
    if isinstance(node, Symbol):
        return [(Fraction(1), (node, ))]
    if isinstance(node, Sum):
        carry = carry_gate(node)
        if carry:
            return [(Fraction(1), (carry, ))]
        words = [(sign * factor, letters) for sign, term in node.terms for factor, letters in expand(term, kind)]
        check_terms(len(words), kind)
        return words
    assert isinstance(node, Product)
    words = [(Fraction(1), ())]
    for part in node.factors:
        right = expand(part, kind)
        check_terms(len(words) * len(right), kind)
        words = [(a * b, (*first, *second)) for a, first in words for b, second in right]
        if any(abs(factor) > LARGEST for factor, _ in words):
            raise UserError(f'{kind}: it has a factor above {LARGEST:g}')
    return words


def check_terms(count: int, kind: str) -> None:
    """Raises UserError if there are more than ``MOST_TERMS`` terms."""
    if count > MOST_TERMS:
        raise UserError(f'{kind}: it has more than {MOST_TERMS} terms when its parentheses are multiplied out')


def carry_gate(node: Sum) -> Symbol | None:
    """The carry gate C[i] if a sum is (1 - T[i])."""
    if len(node.terms) == 2:
        (first, one), (second, gate) = node.terms
        if first == 1 and one == 1 and second == -1 and isinstance(gate, Symbol) and gate.letter == 'T':
            return Symbol('C', gate.index, gate.position)
    return None
