"""mmcv's RoIAlign with features in any memory format."""

from __future__ import annotations

import pytest
import torch
from mmcv.ops import roi_align
from mmcv.ops.roi_align import RoIAlignFunction

from mmext import compat


def test_without_the_repair_the_defect_is_there():
    class Original(RoIAlignFunction):
        forward = staticmethod(RoIAlignFunction.forward.__wrapped__)

    features, regions = torch.randn(2, 8, 16, 16), torch.tensor([[1., 8., 8., 80., 100.]])
    first, last = (Original.apply(features.contiguous(memory_format=layout), regions, 7, 1 / 8, 0, 'avg', True)
                   for layout in (torch.contiguous_format, torch.channels_last))
    assert not torch.allclose(first, last), 'mended upstream? then delete the repair'


@pytest.mark.parametrize('mode', ['avg', 'max'])
def test_features_and_gradients_of_any_memory_format(mode: str):
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 8, 16, 16, generator=generator)
    regions = torch.tensor([[0, 8., 8., 80., 100.], [1, 0., 3., 120., 60.]])
    weights = torch.randn(2, 8, 7, 7, generator=generator)
    found = []
    for layout in (torch.contiguous_format, torch.channels_last):
        maps = features.clone(memory_format=layout).requires_grad_()
        pooled = roi_align(maps, regions, 7, 1 / 8, 2, mode, True)
        found.append((pooled.detach(), *torch.autograd.grad(pooled, maps, weights.contiguous(memory_format=layout))))
    for first, last in zip(*found):
        assert torch.equal(first, last)
    assert 'pool_features_of_any_memory_format' in compat.applied()
