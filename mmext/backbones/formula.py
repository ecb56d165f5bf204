"""Recursion formulas of residual networks (Liao et al.), as text and as data. No torch in here.

A formula says what block i makes of the outputs X of earlier blocks, where W[j] is the branch of convolutions of
block j and X[0] is the stem's output:

    relu(W[i] X[i-1] + X[i-1])                        plain ResNet
    relu(W[i] X[i-1] + X[i-1]) - W[i-1] X[i-2]        the paper's design (eq. 20)

What stands in relu(...) is summed first, and rectified; the other terms are added to it. W[i-1] X[i-2] is what block
i - 1 computed anyway: nothing is run twice.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mmext.errors import UserError

FORMULAS = {
    'resnet': 'relu(W[i] X[i-1] + X[i-1])',
    'eq20': 'relu(W[i] X[i-1] + X[i-1]) - W[i-1] X[i-2]',
    'eq21': 'relu(W[i] X[i-1]) + X[0]',
    'appendix1': 'relu(W[i] X[i-1]) + X[i-2]',
    'appendix2': 'relu(W[i] X[i-1]) + W[i-1] X[i-2]',
}
TERM = re.compile(r'(?P<sign>[+-]?)\s*(?P<factor>\d+(?:\.\d+)?)?\s*\*?\s*'
                  r'(?:W\[(?P<weight>[^]]*)\]\s*)?X\[(?P<state>[^]]*)\]\s*')
RECTIFIED = re.compile(r'\s*relu\(([^()]*)\)\s*([+-].*)?')


DIGITS = 30  # of a factor, which is a float32 in the end


@dataclass(frozen=True)
class Term:
    """``factor`` times X[i-back], or times W[i-back+1] X[i-back] if ``weighted``; ``back`` None means X[0]."""

    factor: float
    back: int | None
    weighted: bool

    @property
    def is_branch(self) -> bool:
        """W[i] X[i-1], what the block itself computes."""
        return self.weighted and self.back == 1

    @property
    def is_shortcut(self) -> bool:
        """X[i-1], the block's input."""
        return not self.weighted and self.back == 1


@dataclass(frozen=True)
class Formula:
    """The terms of X[i]: those that are rectified, and those added afterwards."""

    rectified: tuple[Term, ...]
    added: tuple[Term, ...]

    @property
    def terms(self) -> tuple[Term, ...]:
        return self.rectified + self.added

    @property
    def past(self) -> tuple[Term, ...]:
        """The terms that the block does not compute itself, each once."""
        return tuple(dict.fromkeys(term for term in self.terms if not term.is_branch))

    @property
    def outputs_kept(self) -> int:
        """How many earlier blocks' outputs X a block reads."""
        return max([1, *[term.back or 1 for term in self.terms if not term.weighted]])

    @property
    def branches_kept(self) -> int:
        """How many earlier blocks' branches W X a block reads."""
        return max([0, *[term.back - 1 for term in self.terms if term.weighted and term.back is not None]])

    @property
    def origin_kept(self) -> bool:
        return any(term.back is None for term in self.terms)

    def check_reach(self, blocks: int) -> None:
        """Raises a UserError where a term reads a block that a network of so many blocks does not have."""
        for term in self.terms:
            if term.back is not None and term.back > blocks:
                raise UserError(f'formula: X[i-{term.back}] does not exist in a network of {blocks} blocks')


def parse_formula(text: str) -> Formula:
    """Reads a formula, or the name of one in ``FORMULAS``.

    Raises:
        UserError: it can't be read, or refers to a block that does not exist when block i is computed.
    """
    if not isinstance(text, str):
        raise UserError(f'formula={text!r}: need a text such as {FORMULAS["eq20"]!r}, or one of {", ".join(FORMULAS)}')
    text = FORMULAS.get(text, text)
    match = RECTIFIED.fullmatch(text)
    rectified, added = match.groups() if match else ('', text)
    formula = Formula(parse_terms(rectified, text), parse_terms(added or '', text))
    if not any(term.is_branch for term in formula.terms):
        raise UserError(f'formula {text!r}: it lacks W[i] X[i-1], what block i itself computes')
    return formula


def parse_terms(part: str, text: str) -> tuple[Term, ...]:
    terms = []
    part = part.strip()
    position = 0
    while position < len(part):
        match = TERM.match(part, position)
        if not match or (terms and not match['sign']):
            raise UserError(f"formula {text!r}: can't read {part[position:]!r}; write terms such as W[i] X[i-1] or "
                            f'X[0], the first ones perhaps in relu(...), or one of {", ".join(FORMULAS)}')
        terms.append(make_term(match, text))
        position = match.end()
    return tuple(terms)


def make_term(match: re.Match, text: str) -> Term:
    if len(match['factor'] or '') > DIGITS:
        raise UserError(f'formula {text!r}: the factor {match["factor"]} has more than {DIGITS} digits')
    factor = float(match['factor'] or 1) * (-1 if match['sign'] == '-' else 1)
    back = steps_back(match['state'], f'X[{match["state"]}]', text)
    if back is not None and back < 1:
        raise UserError(f'formula {text!r}: X[{match["state"]}] does not exist when block i is computed; the newest is '
                        'X[i-1]')
    if match['weight'] is None:
        return Term(factor, back, False)
    weight = steps_back(match['weight'], f'W[{match["weight"]}]', text)
    if weight is None or weight < 0:
        raise UserError(f'formula {text!r}: there is no block W[{match["weight"]}] when block i is computed')
    if back != weight + 1:
        raise UserError(f'formula {text!r}: W[{match["weight"]}] reads the block before it and not '
                        f'X[{match["state"]}]')
    return Term(factor, back, True)


def steps_back(index: str, name: str, text: str) -> int | None:
    """'i-2' -> 2, 'i' -> 0, 'i+1' -> -1, '0' -> None."""
    if index.strip() == '0':
        return None
    match = re.fullmatch(r'\s*i\s*(?:([+-])\s*(\d+))?\s*', index)
    if not match:
        raise UserError(f'formula {text!r}: {name} does not exist for every block; write [i-1], [i-2] ..., or X[0] for '
                        "the stem's output")
    return int(match[2] or 0) * (-1 if match[1] == '+' else 1)
