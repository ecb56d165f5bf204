"""A test with ``--fuse`` goes on with a model that is fused, and equal to the one it was given."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import torch
from mmengine.registry import MODELS, init_default_scope
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmext.backbones.fuse import fuse
from mmext.engine import fusion
from mmext.engine.config import load_config
from mmext.engine.fusion import FuseHook, fuse_model
from mmext.task import Task, task_of
from tests.backbones.helpers import assert_same, copied, images, user_error
from tests.conftest import ROOT

CONFIGS = {
    'ssd300_resnet50_coco': ('resnet18', (3, 300, 300), 15 + 10),
    'faster_rcnn_resnet50_fpn_coco': ('resnet18', (3, 64, 64), 20),
    'demo/iresnet3d18_motion': ('resnet18', (1, 3, 4, 32, 32), 20),
    'classification/rir_cifar10': ('rir_cnn32', (3, 32, 32), 31),
}


def built(config: str) -> tuple[nn.Module, dict, Task]:
    """A model with uneven statistics in its norms, a batch as a loader gives it, and the task."""
    backbone, shape, _ = CONFIGS[config]
    torch.manual_seed(0)
    loaded = load_config(ROOT / f'configs/{config}.py', backbone=backbone)
    init_default_scope(loaded.get('default_scope', 'mmengine'))
    task = task_of(loaded)
    model = MODELS.build(loaded.model).eval()
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.normal_(module.running_mean, std=0.1)
    inputs = (images(2, *shape) * 64 + 128).clamp(0, 255).to(torch.uint8)
    if config.startswith('classification'):
        return model, dict(inputs=inputs, labels=torch.zeros(2, dtype=torch.long)), task
    if '3d' in config:
        from mmaction.structures import ActionDataSample as Sample
    else:
        from mmdet.structures import DetDataSample as Sample
    samples = [Sample(metainfo=dict(img_shape=shape[-2:], scale_factor=(1, 1))) for _ in inputs]
    return model, dict(inputs=list(inputs), data_samples=samples), task


@pytest.mark.parametrize('config', CONFIGS)
def test_every_kind_of_model(config: str):
    model, batch, task = built(config)
    before = copied(model.state_dict())
    fused = fuse_model(model, batch, task)
    assert len(fused.fusion.folded) == CONFIGS[config][-1] and not fused.fusion.kept
    assert not any(isinstance(module, _BatchNorm) for module in fused.model.modules())
    assert 0 < fused.difference < 1e-5
    assert_same(model.state_dict(), before)
    assert 'outputs differ by at most' in str(fused)


def test_another_result_is_refused(monkeypatch: pytest.MonkeyPatch):
    model, batch, task = built('classification/rir_cifar10')

    def broken(given: nn.Module) -> nn.Module:
        fused = fuse(given)
        fused.fc.bias[3] += 0.1
        return fused

    monkeypatch.setattr(fusion, 'fuse', broken)
    with user_error('--fuse: outputs differ by'):
        fuse_model(model, batch, task)
    nn.init.constant_(model.fc.bias, torch.nan)
    with user_error('--fuse: outputs differ by nan'):
        fuse_model(model, batch, task)


@pytest.mark.parametrize('parallel', [False, True])
def test_the_hook_swaps_the_model_once(parallel: bool):
    model, batch, _ = built('classification/rir_cifar10')
    hook = FuseHook()
    runner = SimpleNamespace(model=SimpleNamespace(module=model) if parallel else model,
                             cfg=load_config(ROOT / 'configs/classification/rir_cifar10.py'))
    expected = model.test_step(copy.deepcopy(batch))
    for number in range(2):
        hook.before_test_iter(runner, number, batch)
    inside = runner.model.module if parallel else runner.model
    assert inside is hook.fused.model and inside is not model
    for found, other in zip(inside.test_step(batch), expected, strict=True):
        torch.testing.assert_close(found['pred_scores'], other['pred_scores'], rtol=0, atol=1e-5)
