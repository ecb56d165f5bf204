"""Folded norms change nothing but rounding, in every family, and as many are folded as the wiring allows."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmext.backbones.fuse import fuse
from mmext.backbones.plan import STEMS
from tests.backbones.helpers import assert_same, copied, images, on_meta, uneven, user_error
from tests.conftest import CONFIG, ROOT

# Name, options, norms folded, norms in all. Of ResStage's wiring the norms that lead blocks and end stages stay, of
# pre-activation those that lead blocks and the last, of RiR those after a sum with an identity.
CASES = [
    ('resnet18', {}, 20, 20),
    ('resnet50', dict(num_stages=3, strides=(1, 2, 1), out_indices=(2, ), dilations=(1, 1, 2)), 43, 43),
    ('resnet50', dict(dims=3), 53, 53),
    ('resnet164_cifar', dict(num_stages=1), 56, 56),
    ('preact_resnet50', {}, 37, 54),
    ('preact_resnet50', dict(num_stages=1, dims=3), 8, 11),
    ('resstage50', {}, 41, 53),
    ('resmax50', dict(num_stages=2), 24, 24),
    ('iresnet18', {}, 16, 20),
    ('iresnet50', {}, 41, 53),
    ('iresnet50', dict(relu_shortcut=True, num_stages=2), 19, 24),
    ('iresnet34', dict(dims=3, num_stages=2), 11, 16),
    ('resnext50_32x4d', dict(num_stages=2), 24, 24),
    ('resgroup50', dict(num_stages=2), 24, 24),
    ('resgroupfix50', dict(num_stages=1), 11, 11),
    ('iresgroup50', dict(num_stages=2, dims=3), 19, 24),
    ('iresgroupfix50', dict(num_stages=2), 19, 24),
    ('cresnet15_a1', {}, 14, 14),
    ('cresnet27_b3', dict(authors_wiring=True), 26, 26),
    ('cresnet27_c', dict(num_stages=2, dims=3), 14, 14),
    ('resnet18_recursive', {}, 23, 23),
    ('resnet18_recursive', dict(formula='appendix1', initial_state='stem', num_stages=2), 11, 11),
    ('resnet50_recursive', dict(dims=3, num_stages=2), 26, 26),
    ('seresnet18_recursive', dict(num_stages=2), 11, 11),
    ('resnext29_2x64d_recursive', dict(cardinality=2, base_width=8), 34, 34),
    ('res2next29_6c24w4s_recursive', dict(cardinality=2, base_width=8), 52, 52),
    ('rir_cnn32', dict(blocks=(1, 1, 1)), 7, 7),
    ('rir_resnet32', dict(blocks=(1, 2, 1), projection_norm=False), 7, 9),
    ('rir_init32', dict(blocks=(1, 1, 1)), 7, 7),
    ('rir32', dict(blocks=(1, 2, 1)), 9, 11),
    ('rir32', dict(blocks=(1, 1, 1), layers_per_block=1, dims=3), 5, 6),
    ('all_cnn_c', {}, 8, 8),
    ('all_cnn_c_init', dict(dims=3), 8, 8),
    ('resnet18', dict(stem='conv3x3_twice', num_stages=1, with_cp=True), 6, 6),
]


def trained(name: str, **options) -> nn.Module:
    """A network whose norms have uneven statistics, and scales of both signs, some of them zero."""
    backbone = uneven(name, **options)
    for module in backbone.modules():
        if isinstance(module, _BatchNorm):
            module.eps = 1e-3
            with torch.no_grad():
                module.weight[::3] *= -1
                module.weight[1::7] = 0
    return backbone.eval()


def sample(model: nn.Module, **options) -> Tensor:
    size = 16 if STEMS[model.stem].stride == 1 else 32
    return images(2, 3, *([4] if model.dims == 3 else []), size, size, **options)


def norms(model: nn.Module) -> list[str]:
    return [name for name, module in model.named_modules() if isinstance(module, _BatchNorm)]


@pytest.mark.parametrize(('name', 'options', 'folded', 'total'), CASES,
                         ids=[f'{case[0]}-{i}' for i, case in enumerate(CASES)])
def test_outputs_stay(name: str, options: dict, folded: int, total: int):
    backbone = trained(name, **options).double()
    fused = fuse(backbone)
    assert len(norms(backbone)) == total
    assert sorted(fused.fusion.kept) == sorted(norms(fused))
    assert (len(fused.fusion.folded), len(norms(fused))) == (folded, total - folded)
    x = sample(backbone, dtype=torch.float64)
    for found, expected in zip(fused(x), backbone(x), strict=True):
        assert not expected.isnan().any()
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-10 * expected.abs().max().item())


@pytest.mark.parametrize('name', ['resnet50', 'iresnet50', 'cresnet27_a2', 'rir32', 'resnet18_recursive'])
def test_single_precision(name: str):
    backbone = trained(name)
    x = sample(backbone)
    for found, expected in zip(fuse(backbone)(x), backbone(x), strict=True):
        assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_the_model_stays_as_it_was():
    backbone = trained('rir32', blocks=(1, 1, 1)).train()
    before = copied(backbone.state_dict())
    fused = fuse(backbone)
    assert backbone.training and not any(module.training for module in fused.modules())
    assert all(parameter.requires_grad for parameter in backbone.parameters())
    assert not any(parameter.requires_grad for parameter in fused.parameters())
    assert_same(backbone.state_dict(), before)
    backbone.check_size(images(1, 3, 32, 32))
    assert fused.feature_info == backbone.feature_info


def test_a_fused_backbone_still_checks_its_input():
    fused = fuse(trained('resnet18'))
    with user_error('too small'):
        fused(images(1, 3, 8, 8))


def test_report_of_a_deep_network():
    assert str(fuse(on_meta('resnet50')).fusion) == '53 of 53 norms folded'
    assert str(fuse(on_meta('preact_resnet50')).fusion) == (
        '37 of 54 norms folded; 17 stay: 17 share their input with other layers '
        '(layer1.0.bn0, layer1.1.bn0 and 15 more)')


def test_group_norm_stays():
    fused = fuse(on_meta('resnet18', norm_cfg=dict(type='GN', num_groups=2)))
    assert not fused.fusion.folded and set(fused.fusion.kept.values()) == {'take their statistics from the input'}
    assert len(fused.fusion.kept) == 20


def test_sync_norm_folds():
    backbone = nn.SyncBatchNorm.convert_sync_batchnorm(trained('resnet18', num_stages=1)).double()
    fused = fuse(backbone)
    x = sample(backbone, dtype=torch.float64)
    assert not norms(fused)
    torch.testing.assert_close(fused(x)[0], backbone(x)[0], rtol=0, atol=1e-10)


class Net(nn.Module):
    """Layers by name, and what is done with them."""

    def __init__(self, compute: Callable[[Net, Tensor], object], **layers: nn.Module) -> None:
        super().__init__()
        self.compute = compute
        for name, layer in layers.items():
            self.add_module(name, layer)
        for layer in self.modules():
            if isinstance(layer, _BatchNorm) and layer.track_running_stats:
                nn.init.normal_(layer.running_mean)
                nn.init.uniform_(layer.running_var, 0.5, 2)
            if isinstance(layer, _BatchNorm) and layer.affine:
                nn.init.normal_(layer.weight)
                nn.init.normal_(layer.bias)

    def forward(self, x: Tensor) -> object:
        return self.compute(self, x)


def conv(size: int = 3, groups: int = 1, bias: bool = True, **options) -> nn.Conv2d:
    return nn.Conv2d(4, 4, size, groups=groups, bias=bias, **options)


BN = nn.BatchNorm2d
FOLDED = {
    'conv bn': Net(lambda net, x: net.bn(net.conv(x)), conv=conv(bias=False), bn=BN(4)),
    'depthwise, without scale and shift': Net(lambda net, x: net.bn(net.conv(x)), conv=conv(groups=4),
                                              bn=BN(4, affine=False)),
    'bn conv, unpadded': Net(lambda net, x: net.conv(net.bn(x)), conv=conv(groups=2), bn=BN(4)),
    'bn conv, no scale, no bias': Net(lambda net, x: net.conv(net.bn(x)), conv=conv(1, bias=False, stride=2),
                                      bn=BN(4, affine=False)),
    'bn and two convs': Net(lambda net, x: (lambda y: net.a(y) + net.b(y))(net.bn(x)), a=conv(), b=conv(), bn=BN(4)),
    'sum': Net(lambda net, x: net.bn(torch.add(net.a(x), net.b(x) + net.c(x), alpha=0.5)), a=conv(bias=False),
               b=conv(), c=conv(bias=False), bn=BN(4)),
    'one layer twice': Net(lambda net, x: net.bn(net.conv(net.bn(net.conv(x)))), conv=conv(), bn=BN(4)),
}
KEPT = {
    'relu between': Net(lambda net, x: net.bn(net.conv(x).relu()), conv=conv(), bn=BN(4)),
    'output read twice': Net(lambda net, x: (lambda y: net.bn(y) + y)(net.conv(x)), conv=conv(), bn=BN(4)),
    'output handed on': Net(lambda net, x: (lambda y: (net.bn(y), y))(net.conv(x)), conv=conv(), bn=BN(4)),
    'conv run apart': Net(lambda net, x: net.bn(net.conv(x)) + net.conv(x), conv=conv(), bn=BN(4)),
    'weight read apart': Net(lambda net, x: net.bn(net.conv(x)) * net.conv.weight.mean(), conv=conv(), bn=BN(4)),
    'added to itself': Net(lambda net, x: (lambda y: net.bn(y + y))(net.conv(x)), conv=conv(), bn=BN(4)),
    'sum with the input': Net(lambda net, x: net.bn(net.conv(x) + x), conv=conv(padding=1), bn=BN(4)),
    'sum of unlike channels': Net(lambda net, x: net.bn(net.a(x) + net.b(x)), a=conv(), b=nn.Conv2d(4, 1, 3), bn=BN(4)),
    'sum with a number': Net(lambda net, x: net.bn(net.conv(x) + 1), conv=conv(), bn=BN(4)),
    'sum by keyword': Net(lambda net, x: net.bn(torch.add(net.conv(x), other=x)), conv=conv(padding=1), bn=BN(4)),
    'bn conv, padded': Net(lambda net, x: net.conv(net.bn(x)), conv=conv(padding=1), bn=BN(4)),
    'bn conv, padded by name': Net(lambda net, x: net.conv(net.bn(x)), conv=conv(padding='same'), bn=BN(4)),
    'bn conv, and another reader': Net(lambda net, x: (lambda y: net.conv(y) + y)(net.bn(x)), conv=conv(1), bn=BN(4)),
    'statistics of the batch': Net(lambda net, x: net.bn(net.conv(x)), conv=conv(),
                                   bn=BN(4, track_running_stats=False)),
    'weights by rule': Net(lambda net, x: net.bn(net.conv(x)), bn=BN(4),
                           conv=nn.utils.parametrizations.weight_norm(conv())),
    'transposed': Net(lambda net, x: net.bn(net.conv(x)), conv=nn.ConvTranspose2d(4, 4, 3), bn=BN(4)),
}


def equal(found: object, expected: object) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize('net', FOLDED.values(), ids=FOLDED)
def test_every_adjacent_pair_folds(net: Net):
    net = net.double().eval()
    fused, x = fuse(net), images(2, 4, 9, 9, dtype=torch.float64)
    assert not norms(fused) and len(fused.fusion.folded) == 1
    equal(fused(x), net(x))


@pytest.mark.parametrize('net', KEPT.values(), ids=KEPT)
def test_what_would_change_the_result_stays(net: Net):
    net = net.double().eval()
    fused, x = fuse(net), images(2, 4, 9, 9, dtype=torch.float64)
    assert norms(fused) == list(fused.fusion.kept) == ['bn']
    equal(fused(x), net(x))


def test_hooks_are_left_alone():
    net = Net(lambda net, x: net.bn(net.conv(x)), conv=conv(), bn=BN(4)).eval()
    net.conv.register_forward_hook(lambda module, inputs, output: output * 2)
    fused, x = fuse(net), images(1, 4, 9, 9)
    assert norms(fused) == ['bn']
    equal(fused(x), net(x))


def test_parts_of_what_cannot_be_traced():
    shared = conv()
    net = Net(lambda net, x: net.first(x) if x.sum() > 0 else net.second(x),
              first=nn.Sequential(conv(), BN(4), nn.ReLU(), shared, BN(4)), second=nn.Sequential(shared, BN(4)))
    net = net.double().eval()
    fused, x = fuse(net), images(2, 4, 9, 9, dtype=torch.float64)
    assert fused.fusion.folded == ['first.1']
    assert list(fused.fusion.kept) == norms(fused) == ['first.4', 'second.1']
    for sign in (1, -1):
        equal(fused(sign * x.abs()), net(sign * x.abs()))


def test_a_detector():
    from mmengine.registry import MODELS, init_default_scope

    from mmext.engine.config import load_config
    init_default_scope('mmdet')
    config = load_config(ROOT / CONFIG, backbone='iresnet18', options={'model.bbox_head.num_classes': 3})
    torch.manual_seed(0)
    model = Net(lambda net, x: net.detector(x, mode='tensor'), detector=MODELS.build(config.model)).double().eval()
    fused, x = fuse(model), images(1, 3, 300, 300, dtype=torch.float64)
    kept = [f'detector.backbone.layer{stage}.1.bn2' for stage in (1, 2, 3)]
    assert list(fused.fusion.kept) == norms(fused) == kept
    assert len(norms(model)) == 15 + 10, 'three stages, and the neck'
    for found, expected in zip(sum(fused(x), []), sum(model(x), []), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-10 * expected.abs().max().item())
