"""Recursion formulas of residual networks (Liao et al., arXiv 2108.08689): parsing and data structure, without torch.

A formula defines the output X[i] of block i from the outputs X of earlier blocks. W[j] is the residual branch of
block j, and X[0] is the output of the stem:

    relu(W[i] X[i-1] + X[i-1])                        plain ResNet
    relu(W[i] X[i-1] + X[i-1]) - W[i-1] X[i-2]        the paper's design (eq. 20)

The terms inside relu(...) are summed and rectified; the other terms are added to the result. W[i-1] X[i-2] was already
computed by block i - 1, so it is reused and not computed again.
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


DIGITS = 30  # most digits of a factor, which ends up as a float32


@dataclass(frozen=True)
class Term:
    """``factor`` * X[i-back], or ``factor`` * W[i-back+1] X[i-back] if ``weighted``. ``back`` is None for X[0]."""

    factor: float
    back: int | None
    weighted: bool

    @property
    def is_branch(self) -> bool:
        """Whether this is W[i] X[i-1], the block's own residual branch."""
        return self.weighted and self.back == 1

    @property
    def is_shortcut(self) -> bool:
        """Whether this is X[i-1], the input of the block."""
        return not self.weighted and self.back == 1


@dataclass(frozen=True)
class Formula:
    """The terms of X[i]: those inside relu(...), and those added afterwards."""

    rectified: tuple[Term, ...]
    added: tuple[Term, ...]

    @property
    def terms(self) -> tuple[Term, ...]:
        """All terms."""
        return self.rectified + self.added

    @property
    def past(self) -> tuple[Term, ...]:
        """The distinct terms that come from earlier blocks, that is, all but the block's own branch."""
        return tuple(dict.fromkeys(term for term in self.terms if not term.is_branch))

    @property
    def outputs_kept(self) -> int:
        """How many of the latest outputs X must be kept for the next block."""
        return max([1, *[term.back or 1 for term in self.terms if not term.weighted]])

    @property
    def branches_kept(self) -> int:
        """How many of the latest branches W X must be kept for the next block."""
        return max([0, *[term.back - 1 for term in self.terms if term.weighted and term.back is not None]])

    @property
    def origin_kept(self) -> bool:
        """Whether the formula reads X[0], the output of the stem."""
        return any(term.back is None for term in self.terms)

    def check_reach(self, blocks: int) -> None:
        """Raises UserError if a term refers further back than a network with this many blocks goes."""
        for term in self.terms:
            if term.back is not None and term.back > blocks:
                raise UserError(f'formula: X[i-{term.back}] does not exist in a network of {blocks} blocks')


def parse_formula(text: str) -> Formula:
    """Parses a formula, or looks up a name in ``FORMULAS``.

    Raises:
        UserError: The text can't be parsed, or refers to a block that does not exist when block i is computed.
    """
    if not isinstance(text, str):
        raise UserError(f'formula={text!r}: need a text such as {FORMULAS["eq20"]!r}, or one of {", ".join(FORMULAS)}')
    text = FORMULAS.get(text, text)
    match = RECTIFIED.fullmatch(text)
    rectified, added = match.groups() if match else ('', text)
    formula = Formula(parse_terms(rectified, text), parse_terms(added or '', text))
    if not any(term.is_branch for term in formula.terms):
        raise UserError(f"formula {text!r}: the term W[i] X[i-1], the block's own branch, is missing")
    return formula


def parse_terms(part: str, text: str) -> tuple[Term, ...]:
    """Parses ``part``, a sum of terms without relu(...), of the formula ``text``. Raises UserError if it can't."""
    terms = []
    part = part.strip()
    position = 0
    while position < len(part):
        match = TERM.match(part, position)
        if not match or (terms and not match['sign']):
            raise UserError(f"formula {text!r}: can't read {part[position:]!r}; write terms such as W[i] X[i-1] or "
                            f'X[0], optionally starting with relu(...), or one of {", ".join(FORMULAS)}')
        terms.append(make_term(match, text))
        position = match.end()
    return tuple(terms)


def make_term(match: re.Match, text: str) -> Term:
    """Makes a term from a match of ``TERM``. Raises UserError if it refers to a block that does not exist."""
    if len(match['factor'] or '') > DIGITS:
        raise UserError(f'formula {text!r}: the factor {match["factor"]} has more than {DIGITS} digits')
    factor = float(match['factor'] or 1) * (-1 if match['sign'] == '-' else 1)
    back = steps_back(match['state'], f'X[{match["state"]}]', text)
    if back is not None and back < 1:
        raise UserError(f'formula {text!r}: X[{match["state"]}] does not exist when block i is computed; the latest is '
                        'X[i-1]')
    if match['weight'] is None:
        return Term(factor, back, False)
    weight = steps_back(match['weight'], f'W[{match["weight"]}]', text)
    if weight is None or weight < 0:
        raise UserError(f'formula {text!r}: there is no block W[{match["weight"]}] when block i is computed')
    if back != weight + 1:
        raise UserError(f'formula {text!r}: W[{match["weight"]}] takes the output of the block before '
                        f'it, not X[{match["state"]}]')
    return Term(factor, back, True)


def steps_back(index: str, name: str, text: str) -> int | None:
    """Parses an index: 'i-2' -> 2, 'i' -> 0, 'i+1' -> -1, '0' -> None. Raises UserError for anything else."""
    if index.strip() == '0':
        return None
    match = re.fullmatch(r'\s*i\s*(?:([+-])\s*(\d+))?\s*', index)
    if not match:
        raise UserError(f'formula {text!r}: {name} does not exist for every block; write [i-1], [i-2] ..., or X[0] for '
                        "the stem's output")
    return int(match[2] or 0) * (-1 if match[1] == '+' else 1)
