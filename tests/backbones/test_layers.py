"""The layers in two and three dimensions."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mmext.backbones.layers import Layers, ReLU


def sizes(layer: nn.Module) -> tuple:
    return layer.kernel_size, layer.stride, layer.padding


def test_a_pair_means_its_spatial_part_in_2d() -> None:
    assert sizes(Layers(2).conv(4, 6, (3, 5), (2, 3))) == ((5, 5), (3, 3), (2, 2))
    assert sizes(Layers(2).max_pool((1, 3), (1, 2))) == (3, 2, 1)


def test_a_pair_is_temporal_and_spatial_in_3d() -> None:
    assert sizes(Layers(3).conv(4, 6, (3, 5), (2, 3))) == ((3, 5, 5), (2, 3, 3), (1, 2, 2))
    assert sizes(Layers(3).max_pool((1, 3), (1, 2))) == ((1, 3, 3), (1, 2, 2), (0, 1, 1))


def test_dilation_is_spatial_and_padded_for() -> None:
    conv = Layers(3).conv(4, 4, 3, dilation=2)
    assert (conv.dilation, conv.padding) == ((1, 2, 2), (1, 2, 2))
    assert conv(torch.zeros(1, 4, 3, 7, 7)).shape == (1, 4, 3, 7, 7)


def test_convolutions_have_a_bias_only_on_request() -> None:
    assert Layers(2).conv(4, 4, 3).bias is None
    assert Layers(2).conv(4, 4, 3, bias=True).bias is not None


@pytest.mark.parametrize(('dims', 'norm_cfg', 'kind'), [
    (2, None, nn.BatchNorm2d),
    (3, None, nn.BatchNorm3d),
    (2, dict(type='BN'), nn.BatchNorm2d),
    (3, dict(type='BN', eps=1e-3), nn.BatchNorm3d),
    (2, dict(type='SyncBN'), nn.SyncBatchNorm),
    (3, dict(type='SyncBN'), nn.SyncBatchNorm),
    (3, dict(type='GN', num_groups=2), nn.GroupNorm),
])
def test_norms(dims: int, norm_cfg: dict | None, kind: type[nn.Module]) -> None:
    given = dict(norm_cfg or {})
    norm = Layers(dims, norm_cfg).norm(8)
    assert isinstance(norm, kind)
    assert norm.eps == given.get('eps', 1e-5)
    assert dict(norm_cfg or {}) == given  # the caller's dict is not written to


def test_relu_is_in_place_unless_told_otherwise() -> None:
    x = torch.tensor([-1., 2.])
    kept = ReLU()(x, inplace=False)
    assert x.tolist() == [-1, 2]
    assert kept.tolist() == [0, 2]
    assert ReLU()(x) is x
    assert x.tolist() == [0, 2]


@pytest.mark.parametrize('dims', [2, 3])
def test_global_pool_averages_everything(dims: int) -> None:
    x = torch.arange(2 * 3 * 4**dims, dtype=torch.float32).reshape(2, 3, *[4] * dims)
    pooled = Layers(dims).global_pool()(x)
    assert pooled.shape == (2, 3, *[1] * dims)
    torch.testing.assert_close(pooled.flatten(1), x.flatten(2).mean(2))
