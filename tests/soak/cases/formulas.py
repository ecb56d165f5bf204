"""Recursion formulas: what is read is what is written, whatever the spaces, and anything else is refused.

Oracle: sympy, which reads the text by its own rules.
"""

from __future__ import annotations

import re
from pathlib import Path

import sympy
from hypothesis import strategies as st
from sympy.parsing.sympy_parser import implicit_multiplication, parse_expr, standard_transformations

from mmext.backbones.formula import Term, parse_formula

ALLOWED = ()
READ = (*standard_transformations, implicit_multiplication)
RELU = sympy.Function('relu')
SPACE = st.sampled_from(['', ' ', '  '])
FACTORS = st.sampled_from(['', '2', '0.5', '1.25', '10', '0', '3.0'])


@st.composite
def terms(draw: st.DrawFn) -> str:
    """One to three terms with signs between them."""
    text = ''
    for i in range(draw(st.integers(1, 3))):
        back = draw(st.integers(1, 4))
        space = [draw(SPACE) for _ in range(5)]
        state = 'X[0]' if draw(st.booleans()) and draw(st.booleans()) else f'X[{space[0]}i{space[1]}-{space[0]}{back}]'
        way = '' if state == 'X[0]' else ''.join(f'W[{at(back - n)}]{space[2]}' for n in range(
            draw(st.integers(0, back)), 0, -1))
        way = draw(st.sampled_from(['', '', '', 'T[i]', '(1-T[i]) '])) + way
        factor = draw(FACTORS)
        times = draw(st.sampled_from([' ', '*', ' * '])) if factor else ''
        sign = draw(st.sampled_from('+-')) if i else draw(st.sampled_from(['', '+', '-']))
        text += f'{space[3]}{sign}{space[4]}{factor}{times}{way}{state}'
    return text


WELL_FORMED = st.one_of(terms(), terms().map(lambda text: f'relu({text})'), st.tuples(terms(), terms()).map(
    lambda pair: f'relu({pair[0]}) {pair[1] if pair[1].strip()[0] in "+-" else "+" + pair[1]}'))
draw = st.one_of(WELL_FORMED, st.text('WX[]i-+*0123. ()relu', max_size=24), st.text(max_size=8))


def at(back: int) -> str:
    """'i' for 0, 'i-2' for 2."""
    return f'i-{back}' if back else 'i'


def check(text: str, folder: Path) -> None:
    formula = parse_formula(text)
    ours = sum((meaning(term) for term in formula.added), sympy.Integer(0))
    if formula.rectified:
        ours += RELU(sympy.expand(sum(meaning(term) for term in formula.rectified)))
    theirs = by_sympy(text)
    assert sympy.expand(ours - theirs) == 0, f'{text!r} is read as {ours}, and sympy reads {theirs}'


def meaning(term: Term) -> sympy.Expr:
    state = sympy.Symbol('X_origin' if term.back is None else f'X_{term.back}')
    gate = sympy.Symbol('T_0')
    weights = sympy.Mul(*[sympy.Symbol(f'W_{weight}') for weight in term.weights])
    return sympy.Rational(str(term.factor)) * state * weights * {'': 1, 'T': gate, 'C': 1 - gate}[term.gate]


def by_sympy(text: str) -> sympy.Expr:
    """Indices become parts of names; the rest is sympy's to read."""
    text = re.sub(r'([WXT])\[([^]]*)\]', lambda match: f' {match[1]}_{index(match[2])} ', text)
    names = {name: sympy.Symbol(name) for name in re.findall(r'[WXT]_\w+', text)}
    value = parse_expr(text, dict(names, relu=RELU), READ, {name: getattr(sympy, name) for name in (
        'Integer', 'Float', 'Rational', 'Symbol')})
    value = sympy.nsimplify(value, rational=True)
    return value.replace(RELU, lambda inside: RELU(sympy.expand(inside)))


def index(text: str) -> str:
    """'i-2' -> '2', '0' -> 'origin'."""
    return 'origin' if text.strip() == '0' else str(-int(sympy.sympify(text.replace('i', '0'))))
