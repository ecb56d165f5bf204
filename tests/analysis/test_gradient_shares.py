"""The gradient of a network, split by the length of its paths, for every family in 2D and 3D."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from math import comb

import pytest
import torch
from torch import Tensor, nn

from mmext.analysis.paths.drawing import draw_shares
from mmext.analysis.paths.network import network_of
from mmext.analysis.paths.shares import Share, counts_of, gradient_parts, settle_norms, shares, steps_of
from mmext.analysis.paths.tables import share_lines
from mmext.backbones import Backbone
from mmext.backbones.half_identity import HalfIdentity
from mmext.backbones.residual import ResidualBackbone
from tests.backbones.helpers import images, uneven, user_error
from tests.backbones.test_jacobian import TERMS, letters, network, unroll, value

PRODUCTS = 'relu(W[i] X[i-1] + X[i-1]) + W[i] W[i-1] X[i-2] - W[i] X[i-2] + 0.5 X[0]'
TWO = dict(num_stages=2)
FAMILIES = {
    'resnet18': TWO,
    'resnet50': dict(num_stages=1),
    'preact_resnet50': dict(num_stages=1),
    'iresnet18': {},  # with its closing norm
    'iresgroup50': dict(num_stages=1),
    'resnet18_recursive': TWO,
    'resnet34_recursive': dict(num_stages=1, formula=PRODUCTS),
    'seresnet18_recursive': dict(num_stages=2, formula='highway', initial_state='stem'),
    'res2next29_6c24w4s_recursive': dict(num_stages=1, cardinality=2, base_width=4),
    'cresnet18_a': dict(num_stages=2, blocks=(1, 1, 1, 1)),
    'cresnet27_b3': dict(num_stages=1, blocks=(1, 1, 1, 1), authors_wiring=True),
    'rir32': dict(blocks=(1, 2, 1)),
    'rir_init32': dict(blocks=(1, 1, 1)),
    'rir_cnn32': dict(blocks=(1, 1, 1)),
    'all_cnn_c_init': dict(padded=True),
}
CLIPS = ('resnet18', 'resnet18_recursive', 'cresnet18_a', 'rir32')


def built(name: str, dims: int = 2) -> tuple[Backbone, Tensor]:
    net = uneven(name, dims=dims, **FAMILIES[name]).double().eval()
    side = max(4, net.smallest_input)
    return net, images(2, 3, *[2] * (dims - 2), side, side, dtype=torch.float64)


def whole_gradient(net: Backbone, x: Tensor) -> Tensor:
    """By one plain backward pass."""
    stem = net.forward_stem(x).detach().requires_grad_()
    state = net.begin(stem)
    for i in range(len(net.stages)):
        state = getattr(net, f'layer{i + 1}')(state)
    feature = net.feature(state)
    if net.bn_last is not None:
        feature = net.relu_last(net.bn_last(feature))
    weights = torch.randn(feature.shape[1], generator=torch.Generator().manual_seed(0)).to(feature)
    return torch.autograd.grad((feature.flatten(2).mean(2) @ weights).sum(), stem)[0]


def slowed(net: Backbone, factor: float) -> list:
    """Hooks that multiply the gradient of every step by a factor, and leave the outputs as they are."""
    def scale(layer: nn.Module, given: tuple, made: Tensor) -> Tensor:
        kept = layer._conv_forward(given[0], layer.identity, None) if isinstance(layer, HalfIdentity) else 0 * made
        learned = made - kept
        return kept + factor * learned + (1 - factor) * learned.detach()

    blocks = [block for i in range(len(net.stages)) for block in getattr(net, f'layer{i + 1}')]
    return [layer.register_forward_hook(scale) for block in blocks for layer in steps_of(block).layers]


@pytest.mark.parametrize(('name', 'dims'), [*((name, 2) for name in FAMILIES), *((name, 3) for name in CLIPS)])
def test_the_parts_make_up_the_gradient(name: str, dims: int) -> None:
    """Their sum is the gradient; and where each step lets through t of it, a path of length k lets through t^k."""
    net, x = built(name, dims)
    parts = gradient_parts(net, x)
    counts = counts_of(net)
    assert len(parts) == max(counts) + 1
    for k, part in enumerate(parts):
        assert part.abs().max() > 0 if counts.get(k) else 'highway' in str(FAMILIES[name]) or not part.any()
    expected = whole_gradient(net, x)
    torch.testing.assert_close(parts.sum(0), expected, rtol=1e-9, atol=1e-12 * float(expected.abs().max()))
    for t in (0.5, -1.5):
        hooks = slowed(net, t)
        expected = whole_gradient(net, x)
        powers = torch.tensor([t**k for k in range(len(parts))], dtype=x.dtype)
        torch.testing.assert_close(torch.tensordot(powers, parts, 1), expected, rtol=1e-9,
                                   atol=1e-11 * float(expected.abs().max()))
        for hook in hooks:
            hook.remove()


def test_a_residual_network_by_leaving_out_branches_and_shortcuts() -> None:
    """The paths of length k: in k of the blocks only the branch has a gradient, in the others only the shortcut."""
    net, x = built('resnet18')
    blocks = [*net.layer1, *net.layer2]
    parts = gradient_parts(net, x)
    for k in range(len(blocks) + 1):
        total = torch.zeros_like(parts[0])
        for through in combinations(range(len(blocks)), k):
            stem = net.forward_stem(x).detach().requires_grad_()
            out = stem
            for i, block in enumerate(blocks):
                shortcut = out if block.downsample is None else block.downsample(out)
                branch = block.finish_branch(block.branch(out))
                out = torch.relu(branch + shortcut.detach() if i in through else branch.detach() + shortcut)
            weights = torch.randn(out.shape[1], generator=torch.Generator().manual_seed(0)).to(out)
            total += torch.autograd.grad((out.flatten(2).mean(2) @ weights).sum(), stem)[0]
        torch.testing.assert_close(parts[k], total, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize('formula', ['eq20', 'appendix2', 'W[i] X[i-1] + 2 W[i] W[i-1] X[i-2] - W[i-1] W[i-2] X[i-3] '
                                     '+ 0.5 W[i] W[i-1] W[i-2] X[i-3]'])
def test_a_linear_network_has_the_parts_of_its_formula(formula: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The products of the matrices of the formula's paths, summed by length."""
    monkeypatch.setattr('mmext.backbones.layers.ReLU.forward', lambda self, x, inplace=True: x)
    net, blocks = network(formula)
    x = images(1, 64, 2, 2, dtype=torch.float64)
    net.check_size = lambda x: None  # the stem takes 64 channels here
    parts = gradient_parts(net, x).flatten(1)
    shapes, state = [x.shape[1:]], net.begin(x)
    for block in blocks:
        state = block(state)
        shapes.append(state.outputs[0].shape[1:])
    matrices = letters(blocks, shapes, TERMS[formula])
    words = unroll(TERMS[formula], set(matrices), 0, len(blocks))
    weights = torch.randn(shapes[-1][0], generator=torch.Generator().manual_seed(0)).double()
    sent = weights.repeat_interleave(shapes[-1][1:].numel()) / shapes[-1][1:].numel()
    for k in range(len(blocks) + 1):
        of_length = Counter({word: n for word, n in words.items() if sum(name == 'W' for name, _ in word) == k})
        expected = value(of_length, matrices, x[0].numel(), len(sent)).T @ sent
        torch.testing.assert_close(parts[k], expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(('name', 'options', 'counts'), [
    ('resnet18', {}, [1, 8, 28, 56, 70, 56, 28, 8, 1]),
    ('resnet18_recursive', {}, [1] * 9),
    ('resnet18_recursive', dict(initial_state='stem'), [0] * 8 + [1]),
    ('resnet18_recursive', dict(formula='appendix2', num_stages=1), [0, 1, 1]),
    ('cresnet15_a1', dict(num_stages=1), [0, 2, 0, 1]),
    ('cresnet15_a1', dict(num_stages=2), [0, 0, 4, 0, 4, 0, 1]),
    ('rir32', dict(blocks=(1, 1, 1)), [8, 24, 36, 32, 18, 6, 1]),
    ('rir_resnet32', dict(blocks=(1, 1, 1)), [1, 0, 3, 0, 3, 0, 1]),
    ('rir_init32', dict(blocks=(1, 1, 1)), [1, 6, 15, 20, 15, 6, 1]),
    ('rir_cnn32', dict(blocks=(1, 1, 1)), [0, 0, 0, 0, 0, 0, 1]),
])
def test_how_many_paths_there_are(name: str, options: dict, counts: list[int]) -> None:
    found = counts_of(uneven(name, **options))
    assert [found.get(k, 0) for k in range(len(counts))] == counts and max(found) < len(counts)


def test_small_parts_of_the_lengths_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    net, x = built('rir32')
    expected = gradient_parts(net, x)
    monkeypatch.setattr('mmext.analysis.paths.shares.LARGEST', 1)
    torch.testing.assert_close(gradient_parts(net, x), expected)


def test_shares_and_what_is_printed_and_drawn() -> None:
    net, x = built('resnet18')
    rows = shares(net, x)
    assert sum(row.norm for row in rows) == pytest.approx(1) and sum(row.along for row in rows) == pytest.approx(1)
    assert all(row.norm > 0 for row in rows) and [row.paths for row in rows] == [1, 4, 6, 4, 1]
    lines = list(share_lines([Share(0, 1, 0.25, -0.5), Share(1, 0, 0.0, 0.0), Share(2, 3, 0.75, 1.5)]))
    assert lines[1:] == ['     0                 1       25.00%             -50.00%',
                         '     2                 3       75.00%             150.00%',
                         'mean length: 1.50 by norm, 1.50 of the paths']
    many = list(share_lines([Share(k, comb(333, k), float(k == 40), float(k == 40)) for k in range(334)]))
    assert many[1:3] == ['(lengths with at least 0.01% of the norm)',
                         f'    40  {comb(333, 40):16.5e}      100.00%             100.00%']
    axes, = draw_shares(rows, 'title').axes
    assert [bar.get_height() for bar in axes.patches] == pytest.approx([100 * row.norm for row in rows])


def test_random_weights_get_the_statistics_of_a_batch() -> None:
    net = uneven('resnet18', **TWO)
    x = images(4, 3, 32, 32)
    settle_norms(net, x)
    assert not net.training
    with torch.no_grad():
        torch.testing.assert_close(net.bn1(net.conv1(x)), net.train().bn1(net.conv1(x)), rtol=1e-3, atol=2e-2)
    assert net.bn1.momentum == 0.1


class OwnBlock(nn.Conv2d):
    """A block that this module doesn't know."""


def test_a_block_of_an_unknown_family() -> None:
    class OwnNet(ResidualBackbone):
        family = 'own_of_this_test'

        @classmethod
        def names(cls) -> dict[str, dict]:
            return {}

        def make_blocks(self, layers, stage) -> list[nn.Module]:
            return [OwnBlock(stage.in_channels, stage.out_channels, 1)]

    OwnNet.archs = uneven('resnet18', num_stages=1).archs
    with user_error('the paths through OwnBlock are not known', 'steps_of'):
        gradient_parts(OwnNet(18, num_stages=1).eval(), images(1, 3, 32, 32))


@pytest.mark.parametrize(('arguments', 'fragments'), [
    (dict(name='rir32', formula='eq20'), ['--formula: rir32 has no recursion formula']),
    (dict(name='rir33'), ["no backbone 'rir33'"]),
    (dict(name='rir32', shape=(3, 32)), ['--input 3 32: need C H W']),
    (dict(name='rir32', dims=3, shape=(3, 32, 32)), ['need C T H W']),
    (dict(name='rir32', shape=(3, 0, 32)), ['each from 1 to 2048']),
    (dict(name='iresnet3d50', dims=2), ['iresnet3d50 takes clips; iresnet50 takes images']),
])
def test_networks_that_cannot_be_built(arguments: dict, fragments: list[str]) -> None:
    with user_error(*fragments):
        network_of(**arguments)


def test_what_a_network_takes() -> None:
    with torch.device('meta'):
        assert network_of('resnet18')[1] == (3, 224, 224)
        assert network_of('rir32', dims=3)[1] == (3, 8, 32, 32)
        net, shape = network_of('iresnet3d18')
        assert (net.dims, net.stem, shape) == (3, 'conv7x7', (3, 8, 112, 112))
        net, shape = network_of('resnet18_recursive', 'plain', shape=(1, 4, 16, 16))
        assert (net.dims, str(net.formula), shape) == (3, 'relu(W[i] X[i-1])', (1, 4, 16, 16))
