"""From a wanted sum of paths to its formula: the text, the derivation, and the way on to a trained detector."""

from __future__ import annotations

import argparse

import pytest
import sympy
from mmengine.registry import MODELS, init_default_scope

from mmext.analysis.paths.algebra import paths_of, write_sum
from mmext.analysis.paths.derive import derive
from mmext.analysis.paths.unroll import derivative, linear
from mmext.analysis.paths.wanted import WANTED, Wanted
from mmext.analysis.subjects import from_config
from mmext.backbones.formula import FORMULAS, parse_formula
from mmext.engine.flags.actions import OptionsAction
from tests.backbones.helpers import user_error
from tests.configs.learning import take_step
from tests.conftest import ROOT

EQ12 = WANTED['eq12']
FIRST_BLOCKS = '1 + W[j+1] + W[j+2] W[j+1] + ... + W[L] ... W[j+1]'
EVERY = '1 + sum(k = j+1 .. L: W[L] ... W[k])'
# Text -> the sum for L = j + 3.
MEANT = {
    'plain': 'W[L] W[L-1] W[L-2]',
    'resnet': '1 + W[L] + W[L-1] + W[L-2] + W[L] W[L-1] + W[L] W[L-2] + W[L-1] W[L-2] + W[L] W[L-1] W[L-2]',
    'eq12': '1 + W[L] + W[L] W[L-1] + W[L] W[L-1] W[L-2]',
    EVERY: '1 + W[L] + W[L] W[L-1] + W[L] W[L-1] W[L-2]',
    'W[L] + W[L] W[L-1] + … + W[L] ... W[j+1]': 'W[L] + W[L] W[L-1] + W[L] W[L-1] W[L-2]',
    FIRST_BLOCKS: '1 + W[L-2] + W[L-1] W[L-2] + W[L] W[L-1] W[L-2]',
    '1 + W[L] + W[L-1] + ... + W[j+1]': '1 + W[L] + W[L-1] + W[L-2]',
    '2 - W[L] - W[L-1] - ... - W[j+1]': '2 - W[L] - W[L-1] - W[L-2]',
    'W[L] W[L-1] ... W[j+1]': 'W[L] W[L-1] W[L-2]',
    'W[L] + 0.5*W[j+1]': 'W[L] + 0.5 W[L-2]',
    '(1 + 0.5 W[L]) ... (1 + 0.5 W[j+2]) W[j+1]':
        'W[L-2] + 0.5 W[L] W[L-2] + 0.5 W[L-1] W[L-2] + 0.25 W[L] W[L-1] W[L-2]',
    'sum(k = j+1 .. L: W[L] ... W[k+1] W[k-1] ... W[j+1])': 'W[L] W[L-1] + W[L] W[L-2] + W[L-1] W[L-2]',
    'sum(k = j+1 .. L: sum(m = j+1 .. k-1: W[k] W[m]))': 'W[L] W[L-1] + W[L] W[L-2] + W[L-1] W[L-2]',
}


@pytest.mark.parametrize('text', MEANT)
def test_what_a_text_means(text: str) -> None:
    wanted = Wanted(text)
    for j in (0, 2):
        assert write_sum(paths_of(wanted.between(j, j + 3)), ('L', j + 3)) == MEANT[text]


def test_short_sums_end_before_the_dots() -> None:
    wanted = Wanted(EQ12)
    assert [write_sum(paths_of(wanted.between(4, last))) for last in (4, 5, 6)] == [
        '1', '1 + W[5]', '1 + W[6] + W[6] W[5]']


WRONG = {
    'nothing': ('', 'expected a number, W[...], sum( or ( at character 1, but there is the end', EQ12),
    'another letter': ('X[L]', "at character 1, but there is 'X[L]'"),
    'another index': ('W[i]', "expected an index of L, j or a number, such as [L-1] at character 3"),
    'half a term': ('1 + W[L] ...', 'at character 13, but there is the end'),
    'dots first': ('... + W[L]', "at character 1, but there is '... + W[L]'"),
    'dots last': ('W[L] + ...', '... at character 8 needs a term before and after it'),
    'dots twice': ('W[L] + ... + ... + W[j+1]', '... at character 8 needs a term'),
    'terms of other kinds': ('1 + ... + W[L]', 'products of consecutive weights', 'sum(k = j+1 .. L: ...)'),
    'terms of other signs': ('W[L] - W[L-1] + ... + W[j+1]', 'need the same sign'),
    'the same terms': ('W[L] + ... + W[L]', 'are the same'),
    'terms that never meet': ('W[L] W[L-1] + ... + W[j+1]', "can't go from the term before it"),
    'upwards': ('W[j+1] ... W[L]', 'go from a block down to an earlier one', 'from block 1 to 8'),
    'factors of other kinds': ('W[L] ... (1 + W[j+1])', 'differ in more than the number of the block'),
    'a block behind L': ('W[L+1]', 'W[L+1] is block 9, not one of the blocks j+1 to L for j = 0 and L = 8'),
    'block j': ('W[j]', 'W[j] is block 0, not one of'),
    'twice through a block': ('W[L] W[L]', 'each block once', 'but there is W[L] W[L]'),
    'against the order': ('W[L-1] W[L]', 'from the last to the first'),
    'a sum without its end': ('sum(k = j+1: W[k])', 'expected .. and the last value', 'at character 12'),
    'a sum over L': ('sum(L = j+1 .. L: W[L])', 'expected a new name', 'at character 5'),
    'a name outside its sum': ('sum(k = j+1 .. L: W[k]) W[k]', 'expected an index of L, j', 'at character 27'),
    'too many terms': ('sum(k = 0 .. 99999999: 1)', 'it has too many terms'),
    'too large a product': ('(1 + W[L]) ... (1 + W[j+1])' * 2, 'more than 1024 terms'),
}


@pytest.mark.parametrize('case', WRONG)
def test_what_a_text_cannot_say(case: str) -> None:
    text, *fragments = WRONG[case]
    with user_error('wanted sum', *fragments):
        Wanted(text)


FOUND = {
    'plain': (1, FORMULAS['plain'], None),
    'resnet': (1, FORMULAS['resnet'], None),
    'eq12': (2, FORMULAS['eq20'], FORMULAS['eq21']),
    EVERY: (2, FORMULAS['eq20'], FORMULAS['eq21']),
    FIRST_BLOCKS: (2, 'relu(W[i] X[i-1] - W[i] X[i-2] + X[i-1])', None),
    '(1 + 0.5 W[L]) ... (1 + 0.5 W[j+1])': (1, 'relu(0.5 W[i] X[i-1] + X[i-1])', None),
    '2 + W[L] + W[L] W[L-1] + ... + W[L] ... W[j+2] + W[L] ... W[j+1]': (0, None, None),
    '1 + W[L] + W[L-1] + ... + W[j+1]': (0, None, None),
    '1 + W[L] ... W[j+1]': (0, None, None),
    '2': (0, None, None),
    '1': (1, None, None),  # X[i] = X[i-1], without any branch
}


@pytest.mark.parametrize('text', FOUND)
def test_the_formula_of_wanted_paths(text: str) -> None:
    found = derive(text)
    order, formula, from_stem = FOUND[text]
    assert (found.order, found.formula and str(found.formula)) == (order, formula)
    assert (found.from_stem and str(found.from_stem)) == from_stem
    if formula:
        assert linear(found.formula) == linear(parse_formula(str(found.formula)))
        for j, last in ((0, 5), (3, 9), (5, 6)):
            assert sympy.expand(derivative(found.formula, j, last) - found.wanted.between(j, last)) == 0
    if from_stem:
        assert sympy.expand(derivative(found.from_stem, 0, 6) - found.wanted.between(0, 6)) == 0
    if not order:
        assert found.lines[-1].endswith('there is no recursion of order one or two.')


@pytest.mark.parametrize('name', ['plain', 'resnet', 'eq20', '(1 + W[i]) X[i-1] - W[i] X[i-2]'])
def test_there_and_back(name: str) -> None:
    """The sum that a formula unrolls to, for all L at once as the first four say it, leads back to the formula."""
    wanted = dict(plain='plain', resnet='resnet', eq20='eq12').get(name, FIRST_BLOCKS)
    found = derive(wanted)
    assert found.formula is not None and linear(found.formula) == linear(parse_formula(name))


def test_the_steps_are_those_of_eqs_12_to_20() -> None:
    lines = [line.strip() for line in derive('eq12').lines]
    assert lines[0] == f'wanted: X[L] = ({EQ12}) X[j]'
    assert 'X[L-1] = (1 + W[L-1] + W[L-1] W[L-2]) X[j]' in lines
    assert ('X[L] - X[L-1] = (W[L] - W[L-1] + W[L] W[L-1] - W[L-1] W[L-2] + W[L] W[L-1] W[L-2]) X[j]') in lines
    assert 'X[L] - X[L-1] - W[L] X[L-1] = (-W[L-1] - W[L-1] W[L-2]) X[j]' in lines
    assert '(-W[L-1]) X[L-2] = (-W[L-1] - W[L-1] W[L-2]) X[j]' in lines
    assert '(4) X[i] = X[i-1] + W[i] X[i-1] - W[i-1] X[i-2]' in lines


def test_why_there_is_none() -> None:
    lines = derive('1 + W[L] ... W[j+1]').lines
    assert 'For L = j+3 that leaves a difference: wanted minus unrolled is W[L-1] + W[L] W[L-2].' in lines
    assert any('without' in line or 'is missing' in line for line in derive('1').lines)


def test_a_sum_that_is_another_one_elsewhere() -> None:
    found = derive('sum(k = 1 .. L: 1)')
    assert found.formula is None and 'depends on where in the network' in found.lines[-1]


def test_from_wanted_paths_to_a_step_of_training() -> None:
    """The text that comes out is a value of --cfg-options, with which SSD300 learns in all its blocks."""
    init_default_scope('mmdet')
    formula = derive('1 + sum(k = j+1 .. L: (0.5 W[L]) ... (0.5 W[k]))').formula
    assert str(formula) == 'relu(0.5 W[i] X[i-1] + X[i-1]) - 0.5 W[i-1] X[i-2]'
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=OptionsAction)
    options = parser.parse_args(['--cfg-options', f'model.backbone.formula={formula}']).cfg_options
    subject = from_config(ROOT / 'configs' / 'ssd300_resnet50_recursive_coco.py', 'resnet18_recursive', options)
    model = MODELS.build(subject.config.model).train()
    assert model.backbone.formula == formula
    take_step(model, subject.config, subject.batch(2))
