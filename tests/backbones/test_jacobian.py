"""A recursion network does what its formula says: its Jacobians are the formula's unrolled sums (eq. 12).

With the ReLU made the identity and the norms in eval mode, block i's branch is an affine map with the matrix W_i, and
a projection is one with the matrix S_i. Here each formula stands once more, as a recurrence of words of such letters,
which do not commute; the words are unrolled, their matrices multiplied and summed, and autograd through the network has
to find the same derivative of X_L by X_j (all that was made before X_j held fast).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from mmext.backbones import Backbone
from mmext.backbones.layers import ReLU
from tests.backbones.helpers import images, uneven

Letter = tuple[str, int]
Words = Counter[tuple[Letter, ...]]  # word -> its factor; the leftmost letter is applied last

SIXTH = 'relu(W[i] X[i-1]) + 0.5 X[i-1] - 2 W[i-2] X[i-3] + X[0]'
SEVENTH = 'W[i] X[i-1] + 3 W[i-1] X[i-2] - W[i-2] X[i-3] + X[i-3] - 0.5 X[i-2]'
EIGHTH = 'W[i] X[i-1] + 2 W[i] W[i-1] X[i-2] - W[i-1] W[i-2] X[i-3] + 0.5 W[i] W[i-1] W[i-2] X[i-3]'
# Formula -> its terms: factor; how many branches W are applied; how many blocks back X is, None for X[0]; its shortcut.
TERMS = {
    'resnet': [(1, True, 1, None), (1, False, 1, 'downsample')],
    'eq20': [(1, True, 1, None), (1, False, 1, 'downsample'), (-1, True, 2, 'downsample2')],
    'eq21': [(1, True, 1, None), (1, False, None, 'downsample2')],
    'appendix1': [(1, True, 1, None), (1, False, 2, 'downsample2')],
    'appendix2': [(1, True, 1, None), (1, True, 2, 'downsample2')],
    SIXTH: [(1, True, 1, None), (0.5, False, 1, 'downsample'), (-2, True, 3, 'downsample2'),
            (1, False, None, 'downsample3')],
    SEVENTH: [(1, True, 1, None), (3, True, 2, 'downsample2'), (-1, True, 3, 'downsample3'),
              (1, False, 3, 'downsample4'), (-0.5, False, 2, 'downsample5')],
    EIGHTH: [(1, 1, 1, None), (2, 2, 2, None), (-1, 2, 3, 'downsample2'), (0.5, 3, 3, None)],
}
# Within a stage, from the stem on, across the boundary of the stages (3 and 4 blocks) and over the whole network.
PAIRS = [(1, 3), (0, 3), (2, 5), (3, 4), (0, 7)]


@pytest.fixture(autouse=True)
def linear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ReLU, 'forward', lambda self, x, inplace=True: x)


def network(formula: str, name: str = 'resnet34_recursive', **options) -> tuple[Backbone, list[nn.Module]]:
    """Two stages on a stem that hands on what it is given, so that the input is X_0; and the blocks in order."""
    net = uneven(name, formula=formula, num_stages=2, **options).double().eval()
    net.forward_stem = lambda x: x
    return net, [*net.layer1, *net.layer2]


def matrix(affine: Callable[[Tensor], Tensor], shape: torch.Size) -> Tensor:
    """What an affine map does to each direction of its input: (outputs, inputs)."""
    size = shape.numel()
    directions = torch.eye(size, dtype=torch.float64).reshape(size, *shape)
    with torch.no_grad():
        return (affine(directions) - affine(torch.zeros_like(directions))).flatten(1).T


def states(net: Backbone, blocks: list[nn.Module], x: Tensor, j: int | None = None) -> list[Tensor]:
    """X_0, X_1, ... of the network's own forward pass; X_j is a leaf, from which on autograd records."""
    found = [x.requires_grad_(j == 0)]

    def record(block: nn.Module, given: tuple, made: tuple) -> tuple:
        x = made.outputs[0]
        if len(found) == j:
            x = x.detach().requires_grad_()
        found.append(x)
        return made._replace(outputs=(x, *made.outputs[1:]))

    handles = [block.register_forward_hook(record) for block in blocks]
    net(x)
    for handle in handles:
        handle.remove()
    return found


def jacobian(y: Tensor, x: Tensor) -> Tensor:
    """By autograd: (elements of y, elements of x)."""
    rows = torch.eye(y.numel(), dtype=y.dtype).reshape(-1, *y.shape)
    return torch.autograd.grad(y, x, rows, is_grads_batched=True, retain_graph=True)[0].flatten(1)


def letters(blocks: list[nn.Module], shapes: list[torch.Size], terms: list[tuple]) -> dict[Letter, Tensor]:
    """The matrices of every W_i, and of every shortcut that is not the identity."""
    found = {}
    for i, block in enumerate(blocks, 1):
        found['W', i] = matrix(lambda x, block=block: block.finish_branch(block.branch(x)), shapes[i - 1])
        for _, weighted, back, way in terms:
            if way and getattr(block, way) is not None:
                read = 0 if back is None else max(0, i - back + weighted)
                found[way, i] = matrix(getattr(block, way), shapes[read])
    return found


def unroll(terms: list[tuple], known: set[Letter], j: int, last: int) -> Words:
    """dX_last / dX_j as words. A letter that is not known is the identity and is left out."""
    words: list[Words] = []
    for i in range(last + 1):
        if i <= j:
            words.append(Counter({(): 1} if i == j else {}))
            continue
        total: Words = Counter()
        for factor, weighted, back, way in terms:
            read = 0 if back is None else i - back
            if read < 0:
                continue  # zeros
            front = [letter for letter in [(way, i), *(('W', read + n) for n in range(weighted, 0, -1))]
                     if letter in known]
            for word, count in words[read].items():
                total[(*front, *word)] += factor * count
        words.append(Counter({word: count for word, count in total.items() if count}))
    return words[last]


def value(words: Words, matrices: dict[Letter, Tensor], size: int, rows: int) -> Tensor:
    """The sum of the words' products."""
    total = torch.zeros(rows, size, dtype=torch.float64)
    for word, factor in words.items():
        product = torch.eye(size, dtype=torch.float64)
        for letter in reversed(word):
            product = matrices[letter] @ product
        total += factor * product
    return total


def assert_equal_matrices(found: Tensor, expected: Tensor) -> None:
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= 1e-10 * expected.abs().max()
    assert expected.abs().max() > 0


BASIC = ('resnet34_recursive', {}, (64, 2, 2), PAIRS)
BOTTLENECK = ('resnet50_recursive', dict(strides=(1, 1)), (64, 1, 1), [(0, 1), (1, 3), (2, 5)])


@pytest.mark.parametrize(('formula', 'case'), [*((formula, BASIC) for formula in TERMS), ('eq20', BOTTLENECK),
                                               (SIXTH, BOTTLENECK)],
                         ids=[*list(TERMS)[:5], 'sixth', 'seventh', 'eighth', 'eq20, bottleneck', 'sixth, bottleneck'])
def test_jacobians_are_the_formula_s_unrolled_sum(formula: str, case: tuple) -> None:
    name, options, size, pairs = case
    net, blocks = network(formula, name, **options)
    terms = TERMS[formula]
    shapes = [state.shape[1:] for state in states(net, blocks, images(1, *size, dtype=torch.float64))]
    matrices = letters(blocks, shapes, terms)
    for j, last in pairs:
        reached = states(net, blocks, images(1, *size, dtype=torch.float64), j)
        words = unroll(terms, set(matrices), j, last)
        expected = value(words, matrices, shapes[j].numel(), shapes[last].numel())
        assert_equal_matrices(jacobian(reached[last], reached[j]), expected)


@pytest.mark.parametrize(('j', 'last'), [(1, 3), (4, 7), (0, 3)])
def test_the_paper_s_design_has_one_path_of_each_length(j: int, last: int) -> None:
    """Eq. 12: dX_L / dX_j is the sum over k = j ... L of W_L W_(L-1) ... W_(k+1)."""
    net, blocks = network('eq20')
    reached = states(net, blocks, images(1, 64, 2, 2, dtype=torch.float64), j)
    shapes = [state.shape[1:] for state in reached]
    matrices = letters(blocks, shapes, TERMS['eq20'])
    paths = {tuple(('W', i) for i in range(last, k, -1)): 1 for k in range(j, last + 1)}
    assert unroll(TERMS['eq20'], set(matrices), j, last) == paths

    total = product = torch.eye(shapes[last].numel(), dtype=torch.float64)
    for k in range(last, j, -1):
        product = product @ matrices['W', k]
        total = total + product
    assert_equal_matrices(jacobian(reached[last], reached[j]), total)


def test_equal_shortcuts_keep_one_path_of_each_length_across_a_boundary() -> None:
    """Where both shortcuts of a block are the same map S, the paths end with a product of all shortcuts passed."""
    net, blocks = network('eq20')
    blocks[3].downsample2.load_state_dict(blocks[3].downsample.state_dict())
    reached = states(net, blocks, images(1, 64, 2, 2, dtype=torch.float64), 2)
    matrices = letters(blocks, [state.shape[1:] for state in reached], TERMS['eq20'])
    w3, w4, w5, s4 = (matrices[letter] for letter in (('W', 3), ('W', 4), ('W', 5), ('downsample', 4)))
    assert_equal_matrices(jacobian(reached[5], reached[2]), w5 @ w4 @ w3 + w5 @ w4 + w5 @ s4 + s4)


def test_a_copy_of_the_stem_before_the_first_block() -> None:
    """X[-1] and W[0] X[-1] are X[0] then: eq. 20 takes it away in the first block, 1 + W_1 becomes W_1."""
    net, blocks = network('eq20', initial_state='stem')
    reached = states(net, blocks, images(1, 64, 2, 2, dtype=torch.float64), 0)
    w1 = matrix(lambda x: blocks[0].finish_branch(blocks[0].branch(x)), reached[0].shape[1:])
    assert_equal_matrices(jacobian(reached[1], reached[0]), w1)
