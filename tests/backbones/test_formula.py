"""Recursion formulas as text: what they mean, and one clear line where they mean nothing."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import torch

from mmext.backbones import RecursiveResNet, formula
from mmext.backbones.formula import FORMULAS, Formula, Term, parse_formula
from tests.backbones.helpers import images, on_meta, uneven, user_error

OWN = Term(1, 1, (0, ))  # W[i] X[i-1]
SHORTCUT = Term(1, 1)  # X[i-1]
MEANT = {
    'resnet': Formula((OWN, SHORTCUT), ()),
    'eq20': Formula((OWN, SHORTCUT), (Term(-1, 2, (1, )), )),
    'eq21': Formula((OWN, ), (Term(1, None), )),
    'appendix1': Formula((OWN, ), (Term(1, 2), )),
    'appendix2': Formula((OWN, ), (Term(1, 2, (1, )), )),
    'plain': Formula((OWN, ), ()),
    'highway': Formula((Term(1, 1, (0, ), 'T'), Term(1, 1, (), 'C')), ()),
}


def test_formulas_need_no_torch() -> None:
    tree = ast.parse(Path(formula.__file__).read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
    modules = [getattr(node, 'module', None) or node.names[0].name for node in imports]
    assert 'mmext.errors' in modules
    assert not any(name.partition('.')[0] == 'torch' for name in modules)


@pytest.mark.parametrize('name', MEANT)
def test_the_named_mean_what_the_paper_says(name: str) -> None:
    assert parse_formula(name) == parse_formula(FORMULAS[name]) == MEANT[name]
    assert list(FORMULAS) == list(MEANT)


@pytest.mark.parametrize(('text', 'meant'), [
    ('W[i] X[i-1]', Formula((), (OWN, ))),
    ('relu(W[i]X[i-1]+X[i-1])-W[i-1]X[i-2]', MEANT['eq20']),
    ('  relu( W[ i ]  X[i - 1] +  X[ i -1 ] )  -  W[i- 1] X[i -2]  ', MEANT['eq20']),
    ('X[i-1] + W[i] X[i-1]', Formula((), (SHORTCUT, OWN))),
    ('-X[i-1] + W[i] X[i-1]', Formula((), (Term(-1, 1), OWN))),
    ('relu(+W[i] X[i-1])', Formula((OWN, ), ())),
    ('relu(X[i-1]) + 0.5 W[i] X[i-1]', Formula((SHORTCUT, ), (Term(0.5, 1, (0, )), ))),
    ('2*W[i] X[i-1] - 1.25 * X[i-3] + 3X[0]', Formula((), (Term(2, 1, (0, )), Term(-1.25, 3),
                                                             Term(3, None)))),
    ('relu(W[i] X[i-1]) + 0.5 X[i-1] - 2 W[i-2] X[i-3] + X[0]',
     Formula((OWN, ), (Term(0.5, 1), Term(-2, 3, (2, )), Term(1, None)))),
    ('X[i] = (1 + W[i]) X[i-1] - W[i-1] X[i-2]', Formula((), (SHORTCUT, OWN, Term(-1, 2, (1, ))))),
    ('X[q] = relu(W[q] X[q-1]) + X[0]', MEANT['eq21']),
    ('W[i] W[i-1] X[i-2] + 2 W[i-1]*W[i-2] X[i-3]', Formula((), (Term(1, 2, (0, 1)), Term(2, 3, (1, 2))))),
    ('(1 + W[i]) X[i-1] - W[i] X[i-2]', Formula((), (SHORTCUT, OWN, Term(-1, 2, (0, ))))),
    ('W[i] X[i-1] + W[i-1] W[i-3] X[i-6]', Formula((), (OWN, Term(1, 6, (1, 3))))),
    ('W[i] (X[i-1] + 0.5 W[i-1] X[i-2])', Formula((), (OWN, Term(0.5, 2, (0, 1))))),
    ('relu(T[i] (W[i] X[i-1]) + (1 - T[i]) X[i-1])', MEANT['highway']),
    ('W[i] X[i-1] - (T[i] - 1) X[i-1]', Formula((), (OWN, Term(-1, 1, (), 'T'), SHORTCUT))),
])
def test_spaces_signs_and_factors(text: str, meant: Formula) -> None:
    assert parse_formula(text) == meant


@pytest.mark.parametrize('text', [*FORMULAS, '-0.1 X[i-1] + 1.25 W[i] W[i-1] X[i-2] + W[i-1] X[i-4] - (1 - T[i]) X[0]',
                                  'relu(W[i] X[i-1] - 3 X[0]) - 100 W[i-1] X[i-2] + T[i] X[i-1]'])
def test_a_formula_is_written_as_it_is_read(text: str) -> None:
    parsed = parse_formula(text)
    assert str(parsed) == FORMULAS.get(text, text)
    assert parse_formula(str(parsed)) == parsed


@pytest.mark.parametrize(('text', 'outputs', 'branches', 'origin'), [
    ('resnet', 1, 0, False), ('eq20', 1, 1, False), ('eq21', 1, 0, True), ('appendix1', 2, 0, False),
    ('appendix2', 1, 1, False), ('W[i] X[i-1] - 2 W[i-2] X[i-3] + X[0]', 1, 2, True),
    ('W[i] X[i-1] + X[i-4] + W[i-1] X[i-2]', 4, 1, False), ('highway', 1, 0, False),
    ('W[i] W[i-1] W[i-2] X[i-3] + W[i-1] W[i-2] X[i-3] + W[i-2] X[i-3]', 1, 3, False),
    ('W[i] X[i-1] - W[i] X[i-2]', 2, 0, False), ('W[i] X[i-1] - W[i-1] X[i-3] + W[i] W[i-2] X[i-3]', 2, 3, False),
])
def test_no_more_is_kept_than_is_read(text: str, outputs: int, branches: int, origin: bool) -> None:
    parsed = parse_formula(text)
    assert (parsed.outputs_kept, parsed.branches_kept, parsed.origin_kept) == (outputs, branches, origin)
    net = uneven('resnet18_recursive', formula=text, num_stages=1).eval()
    with torch.no_grad():
        state = net.layer1(net.begin(images(1, 64, 2, 2)))
    assert (len(state.outputs), len(state.branches), state.origin is not None) == (outputs, branches, origin)


FACTOR = 'expected a number, W[...], X[...], T[...] or ( at character '
WRONG = {
    'the block itself': ('W[i] X[i]', 'X[i] does not exist when block i is computed', 'the latest is X[i-1]', '6)'),
    'the block itself, alone': ('W[i] X[i-1] + X[i]', 'X[i] does not exist', 'X[i-1]', '(character 15)'),
    'the next block': ('W[i] X[i-1] + X[i+1]', 'X[i+1] does not exist', 'X[i-1]'),
    'the next branch': ('W[i] X[i-1] + W[i+1] X[i]', 'X[i]', 'does not exist'),
    'the next branch of the newest': ('W[i] X[i-1] + W[i+1] X[i-1]', 'no block W[i+1]', '(character 15)'),
    'a numbered block': ('W[i] X[i-1] + X[3]', 'X[3] does not exist for every block', '[i-1]', 'X[0]'),
    'a numbered branch': ('W[3] X[i-1]', 'W[3] does not exist for every block', '(character 1)'),
    'the stem as a branch': ('W[i] X[i-1] + W[0] X[0]', 'no block W[0]'),
    'a later state': ('W[i] X[i-1] + W[i-2] X[i-2]', 'W[i-2] takes the output of an earlier block, not X[i-2]', '15'),
    'weights in another order': ('W[i-1] W[i] X[i-2]', 'W[i-1] takes the output of an earlier block, not W[i]'),
    'weights twice': ('W[i] W[i] X[i-1]', 'W[i] takes the output of an earlier block, not W[i] (character 1)'),
    'weights of the stem': ('W[i] X[i-1] + W[i-1] X[0]', 'W[i-1] takes', 'an earlier block, not X[0]'),
    'no branch of the block before': ('W[i] X[i-2] + X[i-1]', 'the term W[i] X[i-1]', 'is missing'),
    'weights of nothing': ('X[i-1] + W[i]', 'W[i] needs what it is applied to', '(character 10)'),
    'a number of nothing': ('W[i] X[i-1] + 3', 'the term 3 has no X[...]'),
    'weights behind': ('X[i-1] W[i]', 'expected + or - after X[i-1]', 'not W[i] (character 8)'),
    'a gate behind': ('W[i] T[i] X[i-1]', 'T[i] can only stand first in its term (character 6)'),
    'another gate': ('W[i] X[i-1] + (1 - T[i-1]) X[i-1]', '(1 - T[i-1]) is the gate of another block'),
    'a letter': ('W[i] X[i-1] + X[i-j]', 'expected a whole number, as in [i-1] at character 19', "there is 'j]'"),
    'another index': ('X[q] = W[q] X[q-1] + X[i-2]', 'expected an index of q or a number', 'character 24'),
    'a number on the left': ('X[1] = W[i] X[i-1]', 'expected a name, as in X[i] = ... at character 3'),
    'no branch': ('relu(X[i-1]) - W[i-1] X[i-2]', 'the term W[i] X[i-1]', 'is missing'),
    'nothing': ('', 'the term W[i] X[i-1]', 'is missing'),
    'nothing but relu': ('relu()', 'the term W[i] X[i-1]', 'is missing'),
    'garbage': ('hello', f"{FACTOR}1, but there is 'hello'", 'terms such as W[i] X[i-1]'),
    'garbage behind': ('W[i] X[i-1] and more', "expected +, - or the end at character 13, but there is 'and more'"),
    'an unknown name': ('eq22', "there is 'eq22'", ', '.join(FORMULAS)),
    'no sign between': ('W[i] X[i-1] X[i-1]', 'expected + or - after X[i-1]', 'not X[i-1] (character 13)'),
    'no sign after relu': ('relu(W[i] X[i-1]) X[0]', "expected +, - or the end at character 19, but there is 'X[0]'"),
    'two signs': ('W[i] X[i-1] -- X[i-1]', f"{FACTOR}14, but there is '- X[i-1]'"),
    'a sign at the end': ('W[i] X[i-1] +', f'{FACTOR}14, but there is the end'),
    'another function': ('tanh(W[i] X[i-1])', f"{FACTOR}1, but there is 'tanh(W[i] X[i-1])'"),
    'relu in the middle': ('X[0] + relu(W[i] X[i-1])', f"{FACTOR}8, but there is 'relu(", 'starting with relu(...)'),
    'two relus': ('relu(W[i] X[i-1]) + relu(X[i-1])', f"{FACTOR}21, but there is 'relu("),
    'nested relus': ('relu(relu(W[i] X[i-1]))', f'{FACTOR}6'),
    'relu left open': ('relu(W[i] X[i-1]', 'expected +, - or ) at character 17, but there is the end'),
    'an index left open': ('W[i X[i-1]', "expected +, - or ] at character 5, but there is 'X[i-1]'"),
    'round brackets': ('W(i) X[i-1]', 'expected [ after W at character 2'),
    'dots': ('W[i] ... X[i-1]', "expected +, - or the end at character 6, but there is '... X[i-1]'"),
    'too many parentheses': ('(' * 60, 'at most 50 parentheses', 'character 52'),
    'too many terms': ('(1 + W[i])' * 11 + 'X[i-1]', 'more than 1000 terms'),
    'too long a text': ('W[i] X[i-1] + ' * 200 + 'X[0]', 'formula of 2804 characters: at most 2000'),
    'too large a factor': (f'{"9" * 30} 9 W[i] X[i-1]', 'a factor above 1e+30'),
    'a number as text': (20, 'formula=20', 'need a text such as', 'eq20'),
    'none': (None, 'formula=None', 'need a text'),
}


@pytest.mark.parametrize('case', WRONG)
def test_what_a_formula_cannot_say(case: str) -> None:
    text, *fragments = WRONG[case]
    with user_error('formula', *fragments):
        parse_formula(text)
    with user_error('formula', *fragments):
        on_meta('resnet18_recursive', formula=text)


@pytest.mark.parametrize(('name', 'blocks'), [('resnet18_recursive', 8), ('resnet50_recursive', 16),
                                              ('resnext29_2x64d_recursive', 9)])
@pytest.mark.parametrize('term', ['X[i-{}]', '3 W[i-{less}] X[i-{}]'])
def test_a_formula_reaches_no_further_than_the_network(name: str, blocks: int, term: str) -> None:
    reach = [f'relu(W[i] X[i-1]) + {term.format(back, less=back - 1)}' for back in (blocks, blocks + 1, 50)]
    on_meta(name, formula=reach[0])
    for back, text in zip((blocks + 1, 50), reach[1:]):
        with user_error(f'X[i-{back}] does not exist in a network of {blocks} blocks'):
            on_meta(name, formula=text)


def test_a_new_gate_is_nearly_closed() -> None:
    net = uneven('resnet18_recursive', formula='highway', num_stages=1)
    gate = net.layer1[0].gate
    assert set(dict(gate.named_parameters())) == {'conv.weight', 'conv.bias'}
    net.reset_parameters()
    assert torch.equal(gate(torch.zeros(1, 64, 2, 2)), torch.full((1, 64, 2, 2), -2.0).sigmoid())


def test_two_terms_of_one_block_share_a_projection() -> None:
    net = on_meta('resnet18_recursive', formula='relu(T[i] W[i] X[i-1] + (1 - T[i]) X[i-1]) + 0.5 X[i-1]')
    names = [name for name, _ in net.layer2[0].named_children() if name.startswith('downsample')]
    assert names == ['downsample']


def test_the_default_is_the_paper_s_design() -> None:
    with torch.device('meta'):
        net = RecursiveResNet(18)
    assert (net.formula, net.initial_state) == (MEANT['eq20'], 'zeros')


@pytest.mark.parametrize('initial_state', ['ones', None, True])
def test_an_unknown_initial_state(initial_state: object) -> None:
    with user_error(f'initial_state={initial_state!r}', 'zeros, stem'):
        on_meta('resnet18_recursive', initial_state=initial_state)
