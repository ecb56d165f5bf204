"""type='mmext.IResNet' works in OpenMMLab's registries once mmext is imported."""

from __future__ import annotations

import pytest
import torch

from mmext.registry import MODELS
from tests.conftest import run

SCRIPT = """
import torch
import mmext
from mmengine.registry import MODELS, init_default_scope

def build(registry, kind):
    with torch.device('meta'):
        backbone = registry.build(dict(type=f'mmext.{kind}', depth=50, out_indices=(2, ), norm_cfg=dict(type='BN')))
    print(type(backbone).__module__, type(backbone).__name__, backbone.feature_info.channels())

build(MODELS, 'IResNet')

from mmdet.registry import MODELS as MMDET_MODELS
init_default_scope('mmdet')
build(MMDET_MODELS, 'IResGroup')
build(MODELS, 'ResNet')
"""


def test_configs_can_name_a_backbone() -> None:
    """From mmengine's registry alone, and then in mmdet's scope."""
    done = run('-c', SCRIPT)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines() == ['mmext.backbones.iresnet IResNet [1024]',
                                        'mmext.backbones.resgroup IResGroup [512]',
                                        'mmext.backbones.resnet ResNet [1024]']


@pytest.mark.parametrize(('config', 'channels'), [
    (dict(type='CResNet', depth=27, variant='b1', authors_wiring=True), [128, 256, 512, 1024]),
    (dict(type='CResNet', depth=18, variant='a', blocks=[1, 1, 1, 1], stem='conv7x7'), [64, 128, 256, 512]),
    (dict(type='RecursiveResNet', depth=18, formula='relu(W[i] X[i-1]) + 0.5 X[i-1] - 2 W[i-2] X[i-3] + X[0]'),
     [64, 128, 256, 512]),
    (dict(type='RecursiveSEResNet', depth=50, formula='resnet', initial_state='stem'), [256, 512, 1024, 2048]),
    (dict(type='RecursiveResNeXt', cardinality=4, base_width=16), [128, 256, 512]),
    (dict(type='RecursiveRes2NeXt', cardinality=2, base_width=8), [128, 256, 512]),
    (dict(type='RiR', blocks=[1, 2, 3], filters=[8, 12, 20], layers_per_block=3), [8, 12, 20]),
    (dict(type='AllCNN', half_identity=True), [96, 192, 192]),
])
def test_every_class_has_a_config(config: dict, channels: list[int]) -> None:
    with torch.device('meta'):
        backbone = MODELS.build(dict(config, type=f'mmext.{config["type"]}'))
    assert type(backbone).__name__ == config['type']
    assert backbone.feature_info.channels() == channels
    assert len(backbone.eval()(torch.empty(1, 3, 32, 32, device='meta'))) == len(channels)
