"""Networks without memory: shapes, and none of the seconds that torch's compiler takes to import."""

from __future__ import annotations

import torch
from torch import nn

from mmext import create_backbone
from mmext.backbones.meta import on_meta
from tests.conftest import run


def test_shapes_without_memory():
    with on_meta():
        network = create_backbone('iresnet18')
        found = network(torch.empty(1, 3, 64, 64))
    assert {parameter.device.type for parameter in network.parameters()} == {'meta'}
    assert [tuple(feature.shape[1:]) for feature in found] == [(64, 16, 16), (128, 8, 8), (256, 4, 4), (512, 2, 2)]


def test_what_has_memory_is_filled():
    weight = torch.zeros(100)
    with on_meta():
        nn.init.normal_(weight)
        assert nn.init.uniform_(torch.empty(3)).is_meta
    assert weight.std() > 0.5


def test_the_compiler_is_not_imported():
    code = ('import sys, torch, mmext; from mmext.backbones.meta import on_meta\n'
            'with {}: mmext.create_backbone("rir32")\nprint("torch._dynamo" in sys.modules)')
    assert run('-c', code.format('on_meta()')).stdout.strip() == 'False'
    assert run('-c', code.format('torch.device("meta")')).stdout.strip() == 'True', 'mended upstream? then delete it'
