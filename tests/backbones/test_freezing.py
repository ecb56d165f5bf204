"""What is frozen stays frozen: no gradient, no new statistics, whatever train() is called with."""

from __future__ import annotations

import re

import pytest
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmext.backbones import Backbone
from tests.backbones.helpers import assert_same, copied, images, on_meta, uneven

STEM = ('conv1.', 'bn1.', 'conv2.', 'bn2.')


def frozen_prefixes(stages: int) -> tuple[str, ...]:
    return (STEM if stages >= 0 else ()) + tuple(f'layer{i}.' for i in range(1, stages + 1))


def input_for(backbone: Backbone) -> Tensor:
    side = 32 if backbone.stem == 'conv7x7' else 16
    return images(2, 3, side, side)


def norms(model: nn.Module) -> dict[str, _BatchNorm]:
    return {f'{name}.': module for name, module in model.named_modules() if isinstance(module, _BatchNorm)}


OTHERS = ['cresnet27_a1', 'cresnet27_b2', 'resnet18_recursive', 'seresnet18', 'resnext29_2x64d',
          'res2next29_6c24w4s_recursive', 'rir_resnet32', 'rir32', 'all_cnn_c_init']
# Biases that the batch norm behind them subtracts again: they have no gradient to speak of.
WITHOUT_EFFECT = {'seresnet18': r'.*(conv\d|downsample\.0)\.bias', 'rir_resnet32': r'.*downsample\.1\.bias',
                  'rir32': r'.*downsample\.1\.bias'}


@pytest.mark.parametrize('stages', [-1, 0, 1, 3, None])
@pytest.mark.parametrize(('name', 'options'), [('resnet18', {}), ('iresnet50', {}), ('preact_resnet50', {}),
                                               ('resnet18', dict(stem='conv3x3_twice')),
                                               *((name, {}) for name in OTHERS)])
def test_frozen_stages(name: str, options: dict, stages: int | None) -> None:
    """None freezes all."""
    stages = len(on_meta(name).stages) if stages is None else stages
    backbone = on_meta(name, frozen_stages=stages, **options)
    frozen = frozen_prefixes(stages)
    for parameter_name, parameter in backbone.named_parameters():
        assert parameter.requires_grad == (not parameter_name.startswith(frozen)), parameter_name
    for again in (backbone, backbone.train(), backbone.eval().train()):
        for norm_name, norm in norms(again).items():
            assert norm.training == (not norm_name.startswith(frozen)), norm_name


@pytest.mark.parametrize('name', ['iresnet18', *OTHERS])
def test_a_training_step_leaves_the_frozen_part_alone(name: str) -> None:
    backbone = uneven(name, frozen_stages=2).train()
    before = copied(backbone.state_dict())
    backbone(input_for(backbone))[-1].square().mean().backward()
    for parameter in backbone.parameters():
        if parameter.grad is not None:
            parameter.data -= 0.1 * parameter.grad
    after = backbone.state_dict()
    frozen = {key for key in before if key.startswith(frozen_prefixes(2))}
    assert_same({key: after[key] for key in after if key in frozen},
                {key: before[key] for key in before if key in frozen})
    moved = {key for key in before if not before[key].equal(after[key])}
    assert moved.isdisjoint(frozen)
    resting = set(before) - frozen - moved
    assert [key for key in resting if not re.fullmatch(WITHOUT_EFFECT.get(name, 'none'), key)] == []


@pytest.mark.parametrize(('name', 'norm_cfg'), [('iresnet18', dict(type='BN')), ('iresnet18', dict(type='SyncBN')),
                                                *((name, dict(type='BN')) for name in OTHERS)])
def test_norm_eval_keeps_statistics_and_trains_weights(name: str, norm_cfg: dict) -> None:
    backbone = uneven(name, norm_eval=True, norm_cfg=norm_cfg).eval().train()
    assert backbone.training
    assert not any(norm.training for norm in norms(backbone).values())
    before = copied(dict(backbone.named_buffers()))
    backbone(input_for(backbone))[-1].square().mean().backward()
    assert_same(dict(backbone.named_buffers()), before)
    assert all(parameter.grad is not None for parameter in backbone.parameters())


def test_train_returns_the_backbone() -> None:
    backbone = on_meta('iresnet18', frozen_stages=1, norm_eval=True)
    assert backbone.train() is backbone
    assert backbone.eval() is backbone
    assert not any(module.training for module in backbone.modules())
