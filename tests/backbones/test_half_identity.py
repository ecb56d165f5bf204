"""ResNet Init equals separate streams plus the identity, adds no parameters, and decays towards the identity."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from mmengine.optim import build_optim_wrapper
from torch import Tensor, nn

from mmext.backbones.half_identity import HalfIdentityConv2d, HalfIdentityConv3d, HalfIdentityLinear
from tests.backbones.helpers import copied, images, on_meta, uneven, user_error
from tests.backbones.reference_rir import two_streams


def linear(inputs: int, outputs: int) -> tuple[nn.Module, Callable, Callable, tuple[int, ...]]:
    return HalfIdentityLinear(inputs, outputs), F.linear, lambda stream: stream, (5, inputs)


def conv2d(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> tuple:
    layer = HalfIdentityConv2d(inputs, outputs, kernel, stride, kernel // 2)
    return (layer, partial(F.conv2d, stride=stride, padding=kernel // 2),
            lambda stream: stream[..., ::stride, ::stride], (2, inputs, 7, 6))


def conv3d(inputs: int, outputs: int, stride: tuple[int, int, int] = (1, 1, 1)) -> tuple:
    layer = HalfIdentityConv3d(inputs, outputs, 3, stride, 1)
    return (layer, partial(F.conv3d, stride=stride, padding=1),
            lambda stream: stream[..., ::stride[0], ::stride[1], ::stride[2]], (2, inputs, 4, 5, 6))


# Layer, what connects two streams in it, what carries a stream on, and the shape of an input.
LAYERS = {
    'linear': lambda: linear(8, 8),
    'linear, widening': lambda: linear(6, 10),
    'linear, narrowing': lambda: linear(10, 6),
    'conv2d': lambda: conv2d(6, 6),
    'conv2d, 1x1': lambda: conv2d(6, 6, kernel=1),
    'conv2d, 5x5': lambda: conv2d(4, 4, kernel=5),
    'conv2d, strided': lambda: conv2d(6, 6, stride=2),
    'conv2d, widening and strided': lambda: conv2d(4, 8, stride=2),
    'conv2d, narrowing': lambda: conv2d(8, 4),
    'conv3d': lambda: conv3d(4, 4),
    'conv3d, widening and strided': lambda: conv3d(4, 8, stride=(1, 2, 2)),
}


@pytest.mark.parametrize('case', LAYERS)
def test_it_is_separate_streams_plus_the_identity(case: str) -> None:
    """Forward, and the gradients of the input, the weights and the bias."""
    torch.manual_seed(0)
    layer, connect, carry, shape = LAYERS[case]()
    layer.double()
    x = images(*shape, dtype=torch.float64).requires_grad_()
    found = layer(x)
    bias = layer.bias.reshape(-1, *[1] * (len(shape) - 2))
    expected = two_streams(x, layer.weight, connect, carry) + bias
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)

    gradient = images(*found.shape, seed=2, dtype=torch.float64)
    wanted = [x, layer.weight, layer.bias]
    torch.testing.assert_close(torch.autograd.grad(found, wanted, gradient),
                               torch.autograd.grad(expected, wanted, gradient), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize('case', LAYERS)
def test_without_learned_connections_the_residual_stream_is_carried_on(case: str) -> None:
    layer, _, carry, shape = LAYERS[case]()
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    x = images(*shape)
    with torch.no_grad():
        r, t = layer(x).chunk(2, 1)
    carried = carry(x[:, :shape[1] // 2])
    both = min(r.shape[1], carried.shape[1])
    assert torch.equal(r[:, :both], carried[:, :both])
    assert not r[:, both:].any() and not t.any()


@pytest.mark.parametrize(('kind', 'base', 'sizes'), [(HalfIdentityLinear, nn.Linear, (4, 6)),
                                                     (HalfIdentityConv2d, nn.Conv2d, (4, 6, 3)),
                                                     (HalfIdentityConv3d, nn.Conv3d, (4, 6, 3))])
def test_nothing_is_added_to_the_plain_layer(kind: type, base: type, sizes: tuple[int, ...]) -> None:
    halved, plain = kind(*sizes), base(*sizes)
    plain.load_state_dict(halved.state_dict())  # refuses a key too many
    assert list(halved.state_dict()) == ['weight', 'bias']
    assert [name for name, _ in halved.named_parameters()] == ['weight', 'bias']
    assert torch.equal(halved.full_weight, plain.weight + halved.identity)
    assert halved.identity.sum() == 2


@pytest.mark.parametrize(('halved', 'plain'), [('rir32', 'rir_resnet32'), ('rir_init32', 'rir_cnn32'),
                                               ('rir_init18_wide', 'rir_cnn18_wide'), ('all_cnn_c_init', 'all_cnn_c')])
@pytest.mark.parametrize('dims', [2, 3])
def test_networks_keep_their_names_and_shapes(halved: str, plain: str, dims: int) -> None:
    nets = [on_meta(name, dims=dims) for name in (halved, plain)]
    first, second = ({key: value.shape for key, value in net.state_dict().items()} for net in nets)
    assert first == second
    halves = [module for module in nets[0].modules() if isinstance(module, (HalfIdentityConv2d, HalfIdentityConv3d))]
    convolutions = [key for key in first if key.endswith('.weight') and 'conv' in key]
    assert len(halves) == len([key for key in convolutions if 'downsample' not in key]) - 1  # all but the stem's
    assert not any(hasattr(module, 'identity') for module in nets[1].modules())


@pytest.mark.parametrize('initialise', ['reset_parameters', 'init_weights'])
def test_initialisers_do_their_ordinary_work_on_what_is_learned(initialise: str) -> None:
    """Kaiming normal: mean 0 and deviation sqrt(2 / fan out) on V; the identity is not in it."""
    net = uneven('rir18_wide', num_stages=2, init_cfg=dict(type='Kaiming', layer='Conv2d'))
    layers = {name: module for name, module in net.named_modules() if isinstance(module, HalfIdentityConv2d)}
    for layer in layers.values():
        nn.init.zeros_(layer.weight)
    getattr(net, initialise)()
    for name, layer in layers.items():
        expected = math.sqrt(2 / (layer.out_channels * 9))
        assert layer.weight.std().item() == pytest.approx(expected, rel=0.05), name
        diagonal = layer.weight[layer.identity == 1]
        assert len(diagonal) == layer.in_channels // 2, name
        assert abs(diagonal.mean().item()) < 5 * expected / math.sqrt(len(diagonal)), name


def decay(model: nn.Module, steps: int, loss: Callable[[nn.Module], Tensor], **optimizer) -> None:
    """Steps of an optimiser under mmengine's wrapper; the loss gives every parameter a gradient of zero."""
    wrapper = build_optim_wrapper(model, dict(type='OptimWrapper', optimizer=optimizer))
    for _ in range(steps):
        wrapper.update_params(loss(model))


class Both(nn.Module):
    """A layer of each kind and a norm."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = HalfIdentityConv2d(6, 6, 3)
        self.norm = nn.BatchNorm2d(6)
        self.fc = HalfIdentityLinear(6, 8)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.norm(self.conv(x)).mean((2, 3)))


OPTIMIZERS = {
    'SGD': dict(type='SGD', lr=0.1, weight_decay=0.5),
    'SGD, momentum': dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=0.1),
    'Adam': dict(type='Adam', lr=1e-3, weight_decay=0.1),
    'AdamW': dict(type='AdamW', lr=0.1, weight_decay=0.5),
}


@pytest.mark.parametrize('name', OPTIMIZERS)
def test_weight_decay_draws_to_the_identity(name: str) -> None:
    model = Both()
    before = copied(dict(model.named_parameters()))
    decay(model, 10, lambda model: 0 * model(images(2, 6, 4, 4)).sum(), **OPTIMIZERS[name])
    for layer, earlier in ((model.conv, before['conv.weight']), (model.fc, before['fc.weight'])):
        distance = layer.full_weight - layer.identity
        assert distance.norm() < 0.99 * earlier.norm()
        far = earlier.abs() > 0.02  # Adam's steps have one length and pass by the nearest
        assert (distance.abs() < earlier.abs())[far].all()
        assert (distance.sign() == earlier.sign())[far].all()
        assert (layer.full_weight[layer.identity == 1] > 0.5).all()
    now = dict(model.named_parameters())
    for other in ('conv.bias', 'norm.weight', 'fc.bias'):  # these go to zero, as usual
        assert now[other].norm() < 0.999 * before[other].norm(), other


@pytest.mark.parametrize('name', ['SGD', 'AdamW'])
def test_decay_is_exactly_that_of_the_learned_part(name: str) -> None:
    """V (1 - lr x decay)^steps + identity; and nothing but the identity in the end."""
    model = Both()
    start, identity = model.conv.weight.detach().clone(), model.conv.identity
    decay(model, 4, lambda model: 0 * model(images(2, 6, 4, 4)).sum(), **OPTIMIZERS[name])
    torch.testing.assert_close(model.conv.full_weight.detach(), start * (1 - 0.1 * 0.5)**4 + identity)
    decay(model, 400, lambda model: 0 * model(images(2, 6, 4, 4)).sum(), **OPTIMIZERS[name])
    torch.testing.assert_close(model.conv.full_weight.detach(), identity, rtol=0, atol=1e-6)


def test_decay_of_a_whole_network_leaves_its_residual_stream() -> None:
    net = uneven('rir_init32', num_stages=1, blocks=(1, 1, 1)).eval()
    decay(net, 300, lambda net: 0 * net(images(1, 3, 4, 4))[-1].sum(), type='SGD', lr=0.1, weight_decay=0.5)
    conv = net.layer1[0].conv1
    x = images(1, 16, 4, 4)
    with torch.no_grad():
        torch.testing.assert_close(conv(x), torch.cat((x[:, :8], torch.zeros(1, 8, 4, 4)), 1), rtol=0, atol=1e-4)
    assert net.layer1[0].bn1.weight.abs().max() < 1e-4


@pytest.mark.parametrize(('make', 'fragments'), [
    (lambda: HalfIdentityLinear(3, 4), ('from 3 to 4 channels', 'even number')),
    (lambda: HalfIdentityConv2d(4, 5, 3), ('from 4 to 5 channels', 'even number')),
    (lambda: HalfIdentityConv3d(5, 5, 3), ('from 5 to 5 channels', 'even number')),
    (lambda: HalfIdentityConv2d(4, 4, 3, groups=2), ('groups', '2 are given')),
])
def test_streams_that_cannot_share_a_layer(make: Callable[[], nn.Module], fragments: tuple[str, ...]) -> None:
    with user_error('ResNet Init', *fragments):
        make()
