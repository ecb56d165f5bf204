"""type='mmext.IResNet' works in OpenMMLab's registries once mmext is imported; each in a process of its own."""

from __future__ import annotations

import pytest

from tests.conftest import run

BUILD = '''
import torch
import mmext
{first}
with torch.device('meta'):
    backbone = MODELS.build(dict(type='mmext.{kind}', depth=50, out_indices=(2, ), norm_cfg=dict(type='BN')))
print(type(backbone).__module__, type(backbone).__name__, backbone.feature_info.channels())
'''
MMENGINE = 'from mmengine.registry import MODELS'
MMDET = '''
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope
init_default_scope('mmdet')
'''


@pytest.mark.parametrize(('first', 'kind', 'said'), [
    (MMENGINE, 'IResNet', 'mmext.backbones.iresnet IResNet [1024]'),
    (MMDET, 'IResGroup', 'mmext.backbones.resgroup IResGroup [512]'),
], ids=['mmengine', 'mmdet'])
def test_configs_can_name_a_backbone(first: str, kind: str, said: str) -> None:
    done = run('-c', BUILD.format(first=first, kind=kind))
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[-1] == said
