"""Networks by name: all of the paper's are there, and what they hand out is what ``feature_info`` promises."""

from __future__ import annotations

import pytest
import torch

from mmext import create_backbone, list_backbones
from mmext.backbones import IResNet, ResNet
from tests.backbones.helpers import images, on_meta

DEPTHS = {
    'resnet': (18, 34, 50, 101, 152, 200),
    'preact_resnet': (50, 101, 152, 200),
    'resstage': (50, 101, 152, 200),
    'resmax': (50, ),
    'iresnet': (18, 34, 50, 101, 152, 200, 302, 404),
    **dict.fromkeys(('resgroup', 'resgroupfix', 'iresgroup', 'iresgroupfix'), (50, 101, 152)),
}
CIFAR = [f'{family}{depth}_cifar' for family in ('resnet', 'iresnet') for depth in (164, 1001, 2000, 3002)]
NAMES = [f'{family}{depth}' for family, depths in DEPTHS.items() for depth in depths]
NAMES += [f'resnext{depth}_32x4d' for depth in (50, 101, 152)] + CIFAR
# The deepest take seconds to run; tests/analysis does.
SMALL = [name for name in NAMES if not name.endswith(('1001_cifar', '2000_cifar', '3002_cifar'))]


def expected_features(name: str) -> tuple[list[int], list[int]]:
    """Channels and strides of a network's stages."""
    if name.endswith('_cifar'):
        return [64, 128, 256], [1, 2, 4]
    if 'resgroup' in name:
        return [128, 256, 512, 1024], [4, 8, 16, 32]
    if name.endswith(('18', '34')):
        return [64, 128, 256, 512], [4, 8, 16, 32]
    return [256, 512, 1024, 2048], [4, 8, 16, 32]


def test_all_networks_of_the_paper_are_listed() -> None:
    assert set(NAMES) <= set(list_backbones())
    assert list_backbones() == sorted(list_backbones())


def test_a_pattern_selects_names() -> None:
    assert list_backbones('iresgroup5*') == ['iresgroup50']
    assert list_backbones('resmax*') == ['resmax50']
    assert list_backbones('resnet??') == ['resnet18', 'resnet34', 'resnet50']
    assert list_backbones('nothing*') == []


def test_a_name_is_a_class_and_a_depth() -> None:
    assert (type(on_meta('resnet50')), on_meta('resnet50').depth) == (ResNet, 50)
    assert (type(on_meta('iresnet164_cifar')), on_meta('iresnet164_cifar').depth) == (IResNet, 164)


@pytest.mark.parametrize('name', SMALL)
def test_outputs_are_as_promised(name: str) -> None:
    """Channels and strides, from the feature maps that come out; sides that no stride divides are rounded up."""
    backbone = on_meta(name).eval()
    channels, strides = expected_features(name)
    assert backbone.feature_info.channels() == channels
    assert backbone.feature_info.reduction() == strides
    with torch.no_grad():
        features = backbone(torch.empty(2, 3, 64, 72, device='meta'))
    assert [feature.shape for feature in features] == [
        (2, channel, 64 // stride, -(-72 // stride)) for channel, stride in zip(channels, strides)]


@pytest.mark.parametrize('name', ['resnet18', 'preact_resnet50', 'iresnet34', 'iresgroupfix50', 'iresnet164_cifar'])
def test_real_features_are_finite_and_have_those_shapes(name: str) -> None:
    channels, strides = expected_features(name)
    with torch.no_grad():
        features = create_backbone(name)(images(2, 3, 64, 32))
    assert [feature.shape for feature in features] == [
        (2, channel, 64 // stride, 32 // stride) for channel, stride in zip(channels, strides)]
    assert all(feature.isfinite().all() and feature.std() > 0 for feature in features)


@pytest.mark.parametrize('name', ['iresnet3002_cifar', 'resnet164_cifar', 'resnet50', 'iresnet34', 'iresnet404'])
def test_the_depth_counts_the_layers(name: str) -> None:
    """Convolutions but the projections', and the classifier's linear layer. The deepest net is built, too."""
    convolutions = [key for key, value in on_meta(name).named_parameters() if value.dim() == 4]
    layers = [key for key in convolutions if 'downsample' not in key]
    assert len(layers) + 1 == int(''.join(filter(str.isdigit, name)))
