"""The same networks on clips: dims=3."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mmext import create_backbone
from mmext.backbones import Backbone
from tests.backbones.helpers import images, on_meta, uneven

OTHERS = ['cresnet15_a1', 'cresnet27_b2', 'resnet18_recursive', 'rir32', 'all_cnn_c_init']
FAMILIES = ['resnet18', 'preact_resnet50', 'resmax50', 'iresnet18', 'iresnet50', 'iresgroup50', *OTHERS, 'cresnet27_c',
            'seresnet50', 'resnext29_2x64d_recursive', 'res2next29_6c24w4s', 'rir_resnet32', 'all_cnn_c']


def shapes(backbone: nn.Module, *size: int) -> list[tuple[int, ...]]:
    with torch.no_grad():
        return [tuple(feature.shape) for feature in backbone.eval()(torch.empty(2, 3, *size, device='meta'))]


@pytest.mark.parametrize('name', FAMILIES)
def test_time_is_halved_in_stages_3_and_4(name: str) -> None:
    backbone = on_meta(name, dims=3, stem='conv7x7')
    channels = backbone.feature_info.channels()
    assert backbone.feature_info.reduction() == [4, 8, 16, 32][:len(channels)]
    sides = [16, 8, 2 if name.startswith('all_cnn') else 4, 2]
    assert shapes(backbone, 16, 64, 64) == [(2, channel, frames, side, side)
                                            for channel, frames, side in zip(channels, (16, 16, 8, 4), sides)]


@pytest.mark.parametrize('name', ['resnet18', 'iresnet18', 'preact_resnet50', 'cresnet15_a1', 'resnet18_recursive',
                                  'rir32'])
def test_a_small_clip_for_real(name: str) -> None:
    with torch.no_grad():
        features = create_backbone(name, dims=3, stem='conv7x7')(images(2, 3, 4, 32, 32))
    expected = [(4, 8, 8), (4, 4, 4), (2, 2, 2), (1, 1, 1)]
    assert [feature.shape[2:] for feature in features] == expected[:len(features)]
    assert all(feature.isfinite().all() for feature in features)


@pytest.mark.parametrize('name', ['resnet50', 'iresnet50'])
def test_temporal_strides_are_an_option(name: str) -> None:
    backbone = on_meta(name, dims=3, temporal_strides=(2, 1, 1, 2), stem_temporal_stride=2)
    assert [shape[2] for shape in shapes(backbone, 32, 64, 64)] == [8, 8, 8, 4]


@pytest.mark.parametrize('name', ['resnet50', 'iresnet50'])
def test_kernels_are_those_of_the_paper(name: str) -> None:
    backbone = on_meta(name, dims=3)
    assert (backbone.conv1.kernel_size, backbone.conv1.stride, backbone.conv1.padding) == ((5, 7, 7), (1, 2, 2),
                                                                                         (2, 3, 3))
    block = backbone.layer3[0]
    assert [conv.kernel_size for conv in (block.conv1, block.conv2, block.conv3)] == [(1, 1, 1), (3, 3, 3), (1, 1, 1)]
    assert block.conv2.stride == (2, 2, 2)
    assert backbone.layer2[0].conv2.stride == (1, 2, 2)


def test_the_baseline_pools_space_after_its_stem() -> None:
    pool = on_meta('resnet50', dims=3).maxpool
    assert (pool.kernel_size, pool.stride, pool.padding) == ((1, 3, 3), (1, 2, 2), (0, 1, 1))


def test_the_improved_projection_pools_time_only_where_it_is_strided() -> None:
    backbone = on_meta('iresnet50', dims=3)
    pools = [getattr(backbone, f'layer{i}')[0].downsample[0] for i in range(1, 5)]
    assert [pool.kernel_size for pool in pools] == [(1, 3, 3), (1, 3, 3), (3, 3, 3), (3, 3, 3)]
    assert [pool.stride for pool in pools] == [(1, 2, 2), (1, 2, 2), (2, 2, 2), (2, 2, 2)]


@pytest.mark.parametrize('name', FAMILIES)
def test_parameter_names_are_those_of_the_2d_network(name: str) -> None:
    flat, inflated = on_meta(name).state_dict(), on_meta(name, dims=3).state_dict()
    assert list(flat) == list(inflated)
    for key, weight in flat.items():
        shape = list(inflated[key].shape)
        assert (shape[:2] + shape[3:] if weight.dim() == 4 else shape) == list(weight.shape)


def with_centre_taps(name: str, flat: Backbone, **options) -> Backbone:
    """The 3D network that looks at one frame at a time: the 2D weights in the middle of the kernels, zeros around."""
    inflated = create_backbone(name, dims=3, **options).double().eval()
    state = inflated.state_dict()
    for key, weight in flat.state_dict().items():
        if weight.dim() == 4:
            state[key].zero_()[:, :, state[key].shape[2] // 2] = weight
        else:
            state[key].copy_(weight)
    return inflated


@pytest.mark.parametrize('name', ['resnet50', 'preact_resnet50', 'iresnet18', 'iresgroup50', *OTHERS])
def test_a_frame_at_a_time_is_the_2d_network(name: str) -> None:
    flat = uneven(name).double().eval()
    inflated = with_centre_taps(name, flat, temporal_strides=(1, 1, 1, 1)[:len(flat.stages)])
    side = 12 if name in OTHERS else 32
    clip = images(1, 3, 3, side, side).double()
    with torch.no_grad():
        videos = inflated(clip)
        for t in range(3):
            for video, image in zip(videos, flat(clip[:, :, t])):
                torch.testing.assert_close(video[:, :, t], image, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize('name', ['resnet18', 'iresnet18', 'iresnet50', 'cresnet15_a1', 'resnet18_recursive',
                                  'seresnet18', 'rir32', 'all_cnn_c_init'])
def test_strided_time_sees_a_still_as_the_2d_network_does(name: str) -> None:
    flat = uneven(name).double().eval()
    inflated = with_centre_taps(name, flat)
    side = 32 if flat.stem == 'conv7x7' else 12
    frame = images(1, 3, side, side).double()
    with torch.no_grad():
        for video, image in zip(inflated(frame[:, :, None].repeat(1, 1, 8, 1, 1)), flat(frame)):
            torch.testing.assert_close(video, image[:, :, None].expand_as(video), rtol=1e-9, atol=1e-9)
