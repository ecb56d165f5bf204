"""How weights start: Kaiming normal convolutions, and residual branches at zero on request."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from mmext import create_backbone
from mmext.backbones.residual import Residual
from tests.backbones.helpers import images, on_meta

EVERY_WIRING = ['resnet18', 'resnet164_cifar', 'preact_resnet50', 'resstage50', 'iresnet18', 'iresnet34',
                'iresnet164_cifar']


@pytest.mark.parametrize(('name', 'dims'), [('iresnet50', 2), ('resnext50_32x4d', 2), ('iresnet18', 3),
                                            ('cresnet27_b2', 2), ('seresnet18_recursive', 2), ('rir32', 2),
                                            ('rir_init32', 3)])
def test_convolutions_start_kaiming_normal(name: str, dims: int) -> None:
    """Standard deviation sqrt(2 / fan out), fan out = output channels x kernel elements, as torch counts it."""
    torch.manual_seed(0)
    for layer, module in create_backbone(name, dims=dims).named_modules():
        if isinstance(module, (nn.Conv2d, nn.Conv3d)):
            weight = module.weight
            assert module.bias is None or not module.bias.any(), layer
            expected = math.sqrt(2 / (module.out_channels * math.prod(module.kernel_size)))
            tolerance = 5 / math.sqrt(2 * weight.numel())  # five standard errors
            assert weight.std().item() == pytest.approx(expected, rel=tolerance), layer
            assert abs(weight.mean().item()) < 5 * expected / math.sqrt(weight.numel()), layer


def test_norms_start_as_the_identity() -> None:
    for module in create_backbone('iresnet18').modules():
        if isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all()
            assert (module.bias == 0).all()


def tail(block: Residual, name: str, last: bool, x: Tensor) -> Tensor:
    """What the paper puts after the addition."""
    if name.startswith('resnet'):
        return x.relu()
    if name.startswith('preact') or not last:
        return x
    return (block.bn2 if hasattr(block, 'conv2') and not hasattr(block, 'conv3') else block.bn3)(x).relu()


@pytest.mark.parametrize('name', EVERY_WIRING)
def test_zero_initialised_blocks_are_their_shortcut(name: str) -> None:
    torch.manual_seed(0)
    kaiming = dict(type='Kaiming', layer='Conv2d')
    backbone = create_backbone(name, zero_init_residual=True, init_cfg=kaiming).eval()
    backbone.init_weights()
    for i in range(1, len(backbone.stages) + 1):
        stage = getattr(backbone, f'layer{i}')
        for j, block in enumerate(stage):
            x = images(1, backbone.stages[i - 1].in_channels if j == 0 else backbone.stages[i - 1].out_channels, 4, 4)
            with torch.no_grad():
                shortcut = x if block.downsample is None else block.downsample(x)
                expected = tail(block, name, j == len(stage) - 1, shortcut)
                assert torch.equal(block(x.clone()), expected), f'layer{i}.{j}'


@pytest.mark.parametrize(('name', 'options'), [
    ('resnet18_recursive', dict(formula='resnet')), ('resnet18_recursive', {}), ('resnet50_recursive', {}),
    ('resnext29_2x64d_recursive', {}), ('res2next29_6c24w4s_recursive', dict(cardinality=2, base_width=8)),
    ('resnet18_recursive', dict(formula='W[i] X[i-1] + X[i-1]')),
])
def test_zero_initialised_recursions_learn(name: str, options: dict) -> None:
    """Not all in the first step: what a block adds at zero, the next one takes away under eq. 20."""
    torch.manual_seed(0)
    backbone = create_backbone(name, zero_init_residual=True, **options)
    norms = [module.last_norm for module in backbone.modules() if isinstance(module, Residual)]
    assert norms and not any(norm.weight.any() for norm in norms)
    optimizer = torch.optim.SGD(backbone.parameters(), lr=0.01)
    for step in range(3):
        optimizer.zero_grad()
        backbone(images(2, 3, 16, 16, seed=step))[-1].square().mean().backward()
        optimizer.step()
    assert all(norm.weight.any() for norm in norms)


@pytest.mark.parametrize('name', EVERY_WIRING)
def test_zero_initialised_networks_still_learn(name: str) -> None:
    torch.manual_seed(0)
    backbone = create_backbone(name, zero_init_residual=True)
    backbone(images(2, 3, 32, 32))[-1].square().mean().backward()
    zeros = [parameter for parameter in backbone.parameters() if parameter.dim() == 4 and not parameter.any()]
    zeros += [module.weight for module in backbone.modules()
              if isinstance(module, nn.BatchNorm2d) and not module.weight.any()]
    assert len(zeros) == sum(isinstance(module, Residual) for module in backbone.modules())
    assert all(weight.grad.abs().sum() > 0 for weight in zeros)


def test_by_default_no_branch_starts_at_zero() -> None:
    backbone = create_backbone('iresnet18')
    assert all(parameter.any() for name, parameter in backbone.named_parameters() if not name.endswith('bias'))


def test_init_weights_without_init_cfg_changes_nothing() -> None:
    backbone = create_backbone('iresnet18')
    before = backbone.conv1.weight.clone()
    backbone.init_weights()
    assert torch.equal(backbone.conv1.weight, before)


def test_init_weights_takes_mmengine_s_initialisers() -> None:
    backbone = create_backbone('iresnet18', init_cfg=dict(type='Constant', layer='Conv2d', val=0.5))
    backbone.init_weights()
    assert (backbone.layer2[1].conv1.weight == 0.5).all()
    assert on_meta('iresnet18').init_cfg is None
