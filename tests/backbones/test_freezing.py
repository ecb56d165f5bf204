"""What is frozen stays frozen: no gradient, no new statistics, whatever train() is called with."""

from __future__ import annotations

import pytest
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from tests.backbones.helpers import assert_same, copied, images, on_meta, uneven

STEM = ('conv1.', 'bn1.', 'conv2.', 'bn2.')


def frozen_prefixes(stages: int) -> tuple[str, ...]:
    return (STEM if stages >= 0 else ()) + tuple(f'layer{i}.' for i in range(1, stages + 1))


def norms(model: nn.Module) -> dict[str, _BatchNorm]:
    return {f'{name}.': module for name, module in model.named_modules() if isinstance(module, _BatchNorm)}


@pytest.mark.parametrize('stages', [-1, 0, 1, 3, 4])
@pytest.mark.parametrize(('name', 'options'), [('resnet18', {}), ('iresnet50', {}), ('preact_resnet50', {}),
                                               ('resnet18', dict(stem='conv3x3_twice'))])
def test_frozen_stages(name: str, options: dict, stages: int) -> None:
    backbone = on_meta(name, frozen_stages=stages, **options)
    frozen = frozen_prefixes(stages)
    for parameter_name, parameter in backbone.named_parameters():
        assert parameter.requires_grad == (not parameter_name.startswith(frozen)), parameter_name
    for again in (backbone, backbone.train(), backbone.eval().train()):
        for norm_name, norm in norms(again).items():
            assert norm.training == (not norm_name.startswith(frozen)), norm_name


def test_a_training_step_leaves_the_frozen_part_alone() -> None:
    backbone = uneven('iresnet18', frozen_stages=2).train()
    before = copied(backbone.state_dict())
    backbone(images(2, 3, 32, 32))[-1].square().mean().backward()
    for parameter in backbone.parameters():
        if parameter.grad is not None:
            parameter.data -= 0.1 * parameter.grad
    after = backbone.state_dict()
    frozen = {name for name in before if name.startswith(frozen_prefixes(2))}
    assert_same({name: after[name] for name in after if name in frozen},
                {name: before[name] for name in before if name in frozen})
    moved = {name for name in before if not before[name].equal(after[name])}
    assert moved == set(before) - frozen


@pytest.mark.parametrize('norm_cfg', [dict(type='BN'), dict(type='SyncBN')])
def test_norm_eval_keeps_statistics_and_trains_weights(norm_cfg: dict) -> None:
    backbone = uneven('iresnet18', norm_eval=True, norm_cfg=norm_cfg).eval().train()
    assert backbone.training
    assert not any(norm.training for norm in norms(backbone).values())
    before = copied(dict(backbone.named_buffers()))
    backbone(images(2, 3, 32, 32))[-1].square().mean().backward()
    assert_same(dict(backbone.named_buffers()), before)
    assert all(parameter.grad is not None for parameter in backbone.parameters())


def test_train_returns_the_backbone() -> None:
    backbone = on_meta('iresnet18', frozen_stages=1, norm_eval=True)
    assert backbone.train() is backbone
    assert backbone.eval() is backbone
    assert not any(module.training for module in backbone.modules())
