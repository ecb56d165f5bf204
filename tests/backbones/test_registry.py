"""type='mmext.IResNet' works in OpenMMLab's registries once mmext is imported."""

from __future__ import annotations

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
