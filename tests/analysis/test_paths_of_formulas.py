"""The paths of a formula: the sum that it unrolls to, their numbers by length, the closed forms, the picture."""

from __future__ import annotations

import itertools
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest

from mmext.analysis.paths.algebra import write_sum
from mmext.analysis.paths.drawing import draw_formula
from mmext.analysis.paths.tables import lines_of
from mmext.analysis.paths.unroll import CLOSED_FORMS, MOST_PATHS, count_paths, unroll
from mmext.backbones.formula import FORMULAS, parse_formula
from mmext.errors import UserError

MIRRORED = '(1 + W[i]) X[i-1] - W[i] X[i-2]'
PRODUCTS = 'X[i-1] + 2 W[i] W[i-1] X[i-2] - 0.5 W[i-1] W[i-2] X[i-3] + W[i] X[i-3]'


def unrolled(text: str, last: int, first: int = 0):
    return unroll(parse_formula(text), first, last)


@pytest.mark.parametrize(('formula', 'expected'), [
    ('plain', 'W[3] W[2] W[1]'),
    ('resnet', '1 + W[3] + W[2] + W[1] + W[3] W[2] + W[3] W[1] + W[2] W[1] + W[3] W[2] W[1]'),
    ('eq20', '1 + W[3] + W[3] W[2] + W[3] W[2] W[1]'),
    ('X[i] = (1 + W[i]) X[i-1] - W[i-1] X[i-2]', '1 + W[3] + W[3] W[2] + W[3] W[2] W[1]'),
    ('eq21', '1 + W[3] + W[3] W[2] + W[3] W[2] W[1]'),
    ('appendix1', 'W[3] + W[1] + W[3] W[2] W[1]'),
    ('appendix2', 'W[3] W[1] + W[2] W[1] + W[3] W[2] W[1]'),
    (MIRRORED, '1 + W[1] + W[2] W[1] + W[3] W[2] W[1]'),
    ('0.5 W[i] X[i-1] - X[i-2]', '-0.5 W[3] - 0.5 W[1] + 0.125 W[3] W[2] W[1]'),
])
def test_three_blocks(formula: str, expected: str) -> None:
    paths = unrolled(formula, 3).paths
    assert paths is not None and write_sum(paths) == expected


def test_gates_are_part_of_a_path() -> None:
    paths = unrolled('highway', 2).paths
    assert paths is not None
    assert write_sum(paths) == ('(1 - T[2]) (1 - T[1]) + T[2] W[2] (1 - T[1]) + (1 - T[2]) T[1] W[1] '
                                '+ T[2] W[2] T[1] W[1]')


def test_eq21_has_other_paths_from_a_later_block() -> None:
    paths = unrolled('eq21', 5, first=2).paths
    assert paths is not None and write_sum(paths) == 'W[5] W[4] W[3]'


@pytest.mark.parametrize('first', [0, 3])
@pytest.mark.parametrize('name', FORMULAS)
def test_closed_forms(name: str, first: int) -> None:
    """The numbers of paths are the closed form's, and those of the words themselves, for several distances."""
    for distance in (1, 2, 3, 6, 7):
        found = unrolled(name, first + distance, first)
        assert found.paths is not None and all(path.factor == 1 for path in found.paths)
        counts = Counter(path.length for path in found.paths)
        form = CLOSED_FORMS[name].count
        expected = {k: form(distance, k, first == 0) for k in range(distance + 1)}
        assert counts == +Counter(expected)
        assert found.counts == {k: n for k, n in expected.items() if n}
        assert len({path.blocks for path in found.paths}) == len(found.paths)
    total = sum(count_paths(parse_formula(name), first, first + 60).values())
    assert total == sum(form(60, k, first == 0) for k in range(61))


def test_only_the_paper_s_design_goes_through_the_last_blocks() -> None:
    assert {name for name in FORMULAS if unrolled(name, 5).through_last_blocks} == {'eq20', 'eq21', 'plain'}
    assert unrolled('eq20', 7, first=2).through_last_blocks
    assert not unrolled(MIRRORED, 5).through_last_blocks


@pytest.mark.parametrize('formula', [MIRRORED, PRODUCTS, 'W[i] X[i-1] + W[i-2] X[i-3] - 2 X[0]'])
def test_the_sum_of_paths_is_the_derivative(formula: str) -> None:
    """With a matrix for each W: the sum of the products against the recursion on matrices, started from one."""
    random = np.random.default_rng(0)
    weights = {block: random.normal(size=(3, 3)) for block in range(1, 7)}
    parsed = parse_formula(formula)
    for first, last in ((0, 6), (2, 6)):
        states = {first: np.eye(3)}
        for i in range(first + 1, last + 1):
            states[i] = np.zeros((3, 3))
            for term in parsed.terms:
                state = states.get(0 if term.back is None else i - term.back)
                if state is not None:
                    for weight in reversed(term.weights):
                        state = weights[i - weight] @ state
                    states[i] = states[i] + term.factor * state
        found = unroll(parsed, first, last)
        assert found.paths is not None
        total = np.zeros((3, 3))
        for path in found.paths:
            product = np.eye(3)
            for block in path.blocks:
                product = product @ weights[block]
            total += float(path.factor) * product
        np.testing.assert_allclose(total, states[last], rtol=1e-9)
        sums: Counter[int] = Counter()
        for path in found.paths:
            sums[path.length] += Fraction(str(path.factor))
        assert found.counts == {length: count for length, count in sums.items() if count}


def test_many_paths_are_counted_and_not_listed() -> None:
    found = unrolled('resnet', 60)
    assert found.paths is None and sum(found.counts.values()) == 2**60
    lines = list(lines_of(found))
    assert f'more than {MOST_PATHS} paths' in lines[1]
    assert '    30   1.18265e+17  118264581564861424' in lines
    assert lines[-1] == 'The counts are those of the closed form, with n = 60.'


def test_what_is_printed() -> None:
    lines = list(lines_of(unrolled('(1 + W[i]) X[i-1] - W[i-1] X[i-2]', 2)))
    assert lines[:2] == ['X[i] = X[i-1] + W[i] X[i-1] - W[i-1] X[i-2]   (eq20)',
                         'dX[2]/dX[0] = 1 + W[2] + W[2] W[1]']
    assert lines[-4:] == ['     0       1  none', '     1       1  2', '     2       1  2 1',
                          'Each path goes through the last blocks, as many as it is long.']
    lines = list(lines_of(unrolled('0.5 W[i] X[i-1] + X[i-1]', 2)))
    assert lines[0] == 'X[i] = 0.5 W[i] X[i-1] + X[i-1]'
    assert '     1             2               1' in lines and not any('closed form' in line for line in lines)


@pytest.mark.parametrize(('first', 'last'), [(3, 3), (-1, 2), (4, 2), (0, 501)])
def test_blocks_that_are_not_there(first: int, last: int) -> None:
    with pytest.raises(UserError, match=f'--from {first} --to {last}: need 0 <= from < to <= 500'):
        unrolled('resnet', last, first)


def test_a_picture_has_a_row_for_each_path() -> None:
    """Each row has the boxes of the blocks that its path goes through, and its product beside it."""
    found = unrolled('appendix2', 4)
    assert found.paths is not None
    above, below = draw_formula(found).axes
    texts = [(text.get_position(), text.get_text()) for text in below.texts]
    for row, path in enumerate(found.paths):
        boxes = [text for (x, y), text in texts if y == -row and text.isdigit() and x > 0]
        assert sorted(map(int, boxes), reverse=True) == list(path.blocks)
        assert path.text() in [text for (_, y), text in texts if y == -row]
    blocks = [text.get_text() for text in above.texts]
    assert [f'$W_{{{block}}}$' in blocks for block in range(6)] == [False, True, True, True, True, False]
    assert len(above.patches) == 3, 'W[i-1] X[i-2] is added to blocks 2, 3 and 4'


def test_a_picture_of_many_paths_has_bars() -> None:
    _, below = draw_formula(unrolled('resnet', 12)).axes
    assert [bar.get_height() for bar in below.patches] == [len(list(itertools.combinations(range(12), k)))
                                                           for k in range(13)]
