"""What users do with any network of torch: pickle, copy, trace, export, compile, build on meta, differentiate twice."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
from pathlib import Path

import pytest
import torch
from torch import Tensor, fx, nn

from mmext import create_backbone, list_backbones
from mmext.backbones import Backbone
from mmext.backbones.names import find_backbone
from tests.backbones.helpers import assert_same, copied, images, uneven

# One network of every family and wiring, small.
SMALL = dict(cardinality=2, base_width=8)
NETWORKS = {
    'resnet18': {}, 'preact_resnet50': {}, 'resstage50': {}, 'resmax50': {}, 'iresnet18': {}, 'resnext50_32x4d': {},
    'iresgroup50': {}, 'cresnet15_a1': {}, 'cresnet27_c': {}, 'resnet18_recursive': {}, 'seresnet18_recursive': {},
    'resnext29_2x64d_recursive': SMALL, 'res2next29_6c24w4s_recursive': SMALL,
    'rir32': dict(blocks=(1, 2, 1)), 'all_cnn_c_init': {},
}
COMPILED = ('resnet18', 'cresnet15_a1', 'seresnet18_recursive', 'res2next29_6c24w4s_recursive', 'rir32')
CLIPS = ('resnet18', 'seresnet18_recursive', 'rir32')
every_network = pytest.mark.parametrize('name', NETWORKS)
both = pytest.mark.parametrize('dims', [2, 3])


def small(name: str, dims: int = 2, **options) -> Backbone:
    return uneven(name, dims=dims, **{'num_stages': 1, **NETWORKS[name], **options}).eval()


def sample(net: Backbone, seed: int = 1) -> Tensor:
    """Two images that are not square, or clips of them."""
    return images(2, 3, *([3] if net.dims == 3 else []), 32, 24, seed=seed)


def assert_same_outputs(found: nn.Module, expected: nn.Module, x: Tensor) -> None:
    with torch.no_grad():
        pairs = list(zip(found(x), expected(x), strict=True))
    assert pairs and all(torch.equal(one, other) for one, other in pairs)


@pytest.mark.parametrize('name', list_backbones())
@both
def test_every_name_is_traced_and_pickled(name: str, dims: int) -> None:
    """Without numbers: all names, whole networks; of the deepest the first stage."""
    cls, options = find_backbone(name)
    stages = dict(num_stages=1) if name.endswith(('1001_cifar', '2000_cifar', '3002_cifar')) else {}
    with torch.device('meta'):
        net = create_backbone(name, dims=dims, **(stages if 'cifar' in name else {}))
    if name.endswith(('2000_cifar', '3002_cifar')):
        net.layer1 = net.layer1[:20]  # the other blocks are copies of these
    fx.symbolic_trace(net)
    again = pickle.loads(pickle.dumps(net))
    assert type(again) is type(net) is cls
    assert list(again.state_dict()) == list(net.state_dict())


@every_network
@both
def test_traced_copied_and_pickled_networks_compute_the_same(name: str, dims: int) -> None:
    net = small(name, dims)
    x = sample(net)
    for other in (fx.symbolic_trace(net), copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert_same_outputs(other, net, x)


@pytest.mark.parametrize('with_cp', [False, True])
@pytest.mark.parametrize(('name', 'dims'), [*((name, 2) for name in COMPILED), *((name, 3) for name in CLIPS[:1])])
def test_compiled_whole_it_trains_bit_for_bit_the_same(name: str, dims: int, with_cp: bool) -> None:
    """Outputs, gradients and running statistics; with checkpointing the statistics count the batch once."""
    torch._dynamo.reset()
    plain, net = (small(name, dims, with_cp=with_cp).train() for _ in range(2))
    compiled = torch.compile(net, fullgraph=True, backend='aot_eager')
    x = sample(net)
    for model in (plain, compiled):
        sum(feature.square().mean() for feature in model(x)).backward()
    assert_same(copied(net.state_dict()), copied(plain.state_dict()))
    assert_same({key: value.grad for key, value in net.named_parameters()},
                {key: value.grad for key, value in plain.named_parameters()})
    assert {int(value) for key, value in net.state_dict().items() if key.endswith('num_batches_tracked')} == {1}


@pytest.mark.parametrize('name', COMPILED)
def test_exported_networks_compute_the_same(name: str) -> None:
    net = small(name, with_cp=True)
    assert_same_outputs(torch.export.export(net, (sample(net), )).module(), net, sample(net))


@every_network
@both
def test_built_on_meta_and_loaded(name: str, dims: int) -> None:
    net = small(name, dims)
    options = {'num_stages': 1, **NETWORKS[name]}
    for assign in (False, True):
        with torch.device('meta'):
            empty = create_backbone(name, dims=dims, **options)
        if not assign:
            empty.to_empty(device='cpu')
        empty.load_state_dict(net.state_dict(), assign=assign)
        assert_same_outputs(empty.eval(), net, sample(net))


@every_network
@pytest.mark.parametrize('method', ['reset_parameters', 'init_weights'])
def test_built_on_meta_and_initialised(name: str, method: str) -> None:
    options = {'num_stages': 1, **NETWORKS[name]}
    with torch.device('meta'):
        net = create_backbone(name, **options)
    net.to_empty(device='cpu')
    for value in [*net.parameters(), *net.buffers()]:
        if not any(value is getattr(module, 'identity', None) for module in net.modules()):
            value.data.fill_(77)
    getattr(net, method)()
    fresh = create_backbone(name, **options).state_dict()
    for key, value in net.state_dict().items():
        assert value.isfinite().all() and not (value == 77).any(), key
        assert abs(value.float().mean() - fresh[key].float().mean()) <= 0.2, key


@every_network
@both
def test_every_parameter_has_a_gradient(name: str, dims: int) -> None:
    net = small(name, dims).train()
    sum(feature.square().mean() for feature in net(sample(net))).backward()
    assert [key for key, value in net.named_parameters() if value.grad is None or not value.grad.isfinite().all()] == []


@every_network
def test_vmap_and_double_backward(name: str) -> None:
    net = small(name)
    x = sample(net)
    with torch.no_grad():
        for found, expected in zip(torch.vmap(net)(x.unsqueeze(1)), net(x), strict=True):
            torch.testing.assert_close(found.squeeze(1), expected, rtol=1e-4, atol=1e-4)
    x.requires_grad_()
    gradient, = torch.autograd.grad(sum(feature.square().mean() for feature in net(x)), x, create_graph=True)
    gradient.square().sum().backward()
    assert x.grad.isfinite().all() and x.grad.any()


@every_network
def test_frozen_statistics_stay(name: str) -> None:
    net = small(name, norm_eval=True).train()
    before = copied(dict(net.named_buffers()))
    net(sample(net))
    assert_same(dict(net.named_buffers()), before)


@every_network
def test_a_stage_s_hook_gives_its_feature_map(name: str) -> None:
    net = small(name)
    seen = []
    net.layer1.register_forward_hook(lambda module, inputs, output: seen.append(net.feature(output)))
    with torch.no_grad():
        feature, = net(sample(net))
    assert torch.equal(seen[0], feature)


def test_a_whole_model_is_saved_and_loaded_in_another_process(tmp_path: Path) -> None:
    net = small('rir32', 3).requires_grad_(False)
    torch.save(net, tmp_path / 'net.pth')
    x = sample(net)
    assert_same_outputs(torch.load(tmp_path / 'net.pth', weights_only=False), net, x)
    with multiprocessing.get_context('spawn').Pool(1) as pool, torch.no_grad():
        assert all(map(torch.equal, pool.apply(net, (x, )), net(x)))
