"""Networks by name: all of the papers' are there, and what they hand out is what ``feature_info`` promises."""

from __future__ import annotations

import re

import pytest
import torch

from mmext import create_backbone, list_backbones
from mmext.backbones import IResNet, ResNet
from mmext.backbones.names import name_of
from tests.backbones.helpers import images, on_meta

DEPTHS = {
    'resnet': (18, 34, 50, 101, 152, 200, 302, 404),
    'preact_resnet': (50, 101, 152, 200),
    'resstage': (50, 101, 152, 200),
    'resmax': (50, ),
    'iresnet': (18, 34, 50, 101, 152, 200, 302, 404),
    **dict.fromkeys(('resgroup', 'resgroupfix', 'iresgroup', 'iresgroupfix'), (50, 101, 152)),
}
CIFAR = [f'{family}{depth}_cifar' for family in ('resnet', 'iresnet') for depth in (164, 1001, 2000, 3002)]
CIFAR += [f'preact_resnet{depth}_cifar' for depth in (110, 164, 1001)]
CIFAR += [f'resstage{depth}_cifar' for depth in (164, 1001)]
BASES = [f'seresnet{depth}' for depth in (18, 34, 50, 101)]
BASES += ['resnext29_2x64d', 'resnext29_4x64d', 'res2next29_6c24w4s', 'res2next29_8c25w4s']
PAPERS = {
    'iresnet': [f'{family}{depth}' for family, depths in DEPTHS.items() for depth in depths]
    + [f'resnext{depth}_32x4d' for depth in (50, 101, 152)] + CIFAR + ['resnet50_avgdown', 'resnet50d'],
    'cresnet': ['cresnet15_a1', 'cresnet18_a', *(f'cresnet27_{variant}' for variant in (
        'a', 'a1', 'a2', 'b', 'b1', 'b2', 'b3', 'c', 'c1'))],
    'recursive': BASES + [f'{base}_recursive' for base in [*(f'resnet{depth}' for depth in (18, 34, 50, 101)), *BASES]],
    'rir': ['rir_cnn32', 'rir_resnet32', 'rir_init32', 'rir32', 'rir_cnn18_wide', 'rir_resnet18_wide',
            'rir_init18_wide', 'rir18_wide', 'all_cnn_c', 'all_cnn_c_init', 'rir_3x10', 'rir_6x5', 'rir_9x3',
            'rir_15x5', *(f'{family}_15x{layers}' for family in ('rir', 'rir_resnet') for layers in (2, 4, 6, 8, 10))],
}
NAMES = [name for names in PAPERS.values() for name in names]
# The deepest take seconds to run; tests/analysis does.
SMALL = [name for name in NAMES if not name.endswith(('1001_cifar', '2000_cifar', '3002_cifar'))]
OTHERS = [name for name in NAMES if name not in PAPERS['iresnet'] and not name.startswith(('rir_15x', 'rir_resnet_'))]
# Channels of the stages, where they are neither a basic block's nor a bottleneck's.
CHANNELS = {
    '_cifar': [64, 128, 256],
    'preact_resnet110_cifar': [16, 32, 64],
    'resgroup': [128, 256, 512, 1024],
    'resnext29_2x64d': [256, 512, 1024],
    'resnext29_4x64d': [512, 1024, 2048],
    'res2next29_6c24w4s': [384, 768, 1536],
    'res2next29_8c25w4s': [400, 800, 1600],
    'cresnet27_b': [128, 256, 512, 1024],
    'cresnet27_c': [256, 512, 1024, 2048],
    'cresnet': [64, 128, 256, 512],
    'rir': [16, 32, 64],
    '18_wide': [96, 192, 384],
    'all_cnn': [96, 192, 192],
}


def expected_stem(name: str) -> str:
    """The stem that a network's paper has."""
    if name == 'resnet50d':
        return 'deep'
    if name in PAPERS['cresnet']:
        return 'conv3x3_twice'
    if name.startswith('resnext29'):
        return 'conv1x1'
    return 'conv7x7' if name in PAPERS['iresnet'] and not name.endswith('_cifar') else 'conv3x3'


def expected_features(name: str) -> tuple[list[int], list[int]]:
    """Channels and strides of a network's stages."""
    fitting = [part for part in CHANNELS if part in name]
    if fitting:
        channels = CHANNELS[max(fitting, key=len)]
    else:
        channels = [(64 if name.removesuffix('_recursive').endswith(('18', '34')) else 256) * 2**i for i in range(4)]
    stride = 4 if expected_stem(name) in ('conv7x7', 'deep') else 1
    return channels, [stride * 2**i for i in range(len(channels))]


def expected_shapes(name: str, height: int, width: int) -> list[tuple[int, int, int]]:
    """Of the feature maps; sides that no stride divides are rounded up."""
    channels, strides = expected_features(name)
    lost = [2 if name.startswith('all_cnn') and i == 2 else 0 for i in range(len(channels))]  # its unpadded convolution
    return [(channel, -(-height // stride) - less, -(-width // stride) - less)
            for channel, stride, less in zip(channels, strides, lost)]


def test_all_networks_of_the_papers_are_listed() -> None:
    assert len(NAMES) == len(set(NAMES))
    assert set(NAMES) <= set(list_backbones())
    assert list_backbones() == sorted(list_backbones())


def test_names_are_grouped_by_paper() -> None:
    found = list_backbones(by_paper=True)
    assert list(found)[:4] == list(PAPERS)
    assert {paper: set(found[paper]) for paper in PAPERS} == {paper: set(names) for paper, names in PAPERS.items()}
    assert sorted(name for names in found.values() for name in names) == list_backbones()
    assert list_backbones('*18*', by_paper=True)['cresnet'] == ['cresnet18_a']
    assert list_backbones('*_recursive', by_paper=True).keys() == {'recursive'}


def test_a_pattern_selects_names() -> None:
    assert list_backbones('iresgroup5*') == ['iresgroup50']
    assert list_backbones('resmax*') == ['resmax50']
    assert list_backbones('resnet??') == ['resnet18', 'resnet34', 'resnet50']
    assert list_backbones('cresnet27_b*') == [f'cresnet27_{variant}' for variant in ('b', 'b1', 'b2', 'b3')]
    assert list_backbones('nothing*') == []


def test_a_name_is_a_class_and_a_depth() -> None:
    assert (type(on_meta('resnet50')), on_meta('resnet50').depth) == (ResNet, 50)
    assert (type(on_meta('iresnet164_cifar')), on_meta('iresnet164_cifar').depth) == (IResNet, 164)


@pytest.mark.parametrize('name', SMALL)
def test_outputs_are_as_promised(name: str) -> None:
    """Stem, channels and strides, and the feature maps that come out."""
    backbone = on_meta(name).eval()
    channels, strides = expected_features(name)
    assert backbone.stem == expected_stem(name)
    assert backbone.feature_info.channels() == channels
    assert backbone.feature_info.reduction() == strides
    with torch.no_grad():
        features = backbone(torch.empty(2, 3, 64, 72, device='meta'))
    assert [feature.shape for feature in features] == [(2, *shape) for shape in expected_shapes(name, 64, 72)]


@pytest.mark.parametrize('name', [name for name in OTHERS if '101' not in name and '34' not in name])
def test_every_parameter_has_a_part_in_the_outputs(name: str) -> None:
    backbone = on_meta(name).train()
    sum(feature.sum() for feature in backbone(torch.empty(2, 3, 32, 32, device='meta'))).backward()
    assert [key for key, parameter in backbone.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize('name', OTHERS)
@pytest.mark.parametrize('stem', ['conv7x7', 'deep', 'conv3x3', 'conv1x1', 'conv3x3_twice'])
def test_every_network_takes_every_stem(name: str, stem: str) -> None:
    backbone = on_meta(name, stem=stem, num_stages=1).eval()
    channels, stride = expected_features(name)[0][0], 4 if stem in ('conv7x7', 'deep') else 1
    assert backbone.stem == stem
    assert (backbone.feature_info.channels(), backbone.feature_info.reduction()) == ([channels], [stride])
    with torch.no_grad():
        assert backbone(torch.empty(1, 3, 16, 16, device='meta'))[0].shape == (1, channels, 16 // stride, 16 // stride)


@pytest.mark.parametrize('name', ['resnet18', 'preact_resnet50', 'iresnet34', 'iresgroupfix50', 'iresnet164_cifar',
                                  'cresnet15_a1', 'resnet18_recursive', 'seresnet18', 'rir32', 'all_cnn_c_init'])
def test_real_features_are_finite_and_have_those_shapes(name: str) -> None:
    with torch.no_grad():
        features = create_backbone(name)(images(2, 3, 64, 32))
    assert [feature.shape for feature in features] == [(2, *shape) for shape in expected_shapes(name, 64, 32)]
    assert all(feature.isfinite().all() and feature.std() > 0 for feature in features)


@pytest.mark.parametrize('name', ['iresnet3002_cifar', 'resnet164_cifar', 'resnet50', 'iresnet34', 'iresnet404',
                                  *PAPERS['cresnet'], *PAPERS['rir'][:8], 'resnet101_recursive', 'seresnet34_recursive',
                                  'resnext29_4x64d_recursive'])
def test_the_depth_counts_the_layers(name: str) -> None:
    """Convolutions but those on shortcuts, and the classifier's linear layer. The deepest net is built, too."""
    backbone = on_meta(name)
    convolutions = [key for key, value in backbone.named_parameters() if value.dim() == 4]
    layers = [key for key in convolutions if 'downsample' not in key and 'jumper' not in key]
    assert len(layers) + 1 == backbone.depth == int(re.search(r'\d+', name)[0])


@pytest.mark.parametrize('name', [name for name in PAPERS['rir'] if 'x' in name])
def test_a_name_of_two_numbers_is_blocks_and_layers(name: str) -> None:
    blocks, count = map(int, name.rpartition('_')[2].split('x'))
    backbone = on_meta(name)
    stages = [backbone.layer1, backbone.layer2, backbone.layer3]
    assert [len(stage) for stage in stages] == [blocks // 3] * 3
    assert {sum(key.startswith('conv') for key in dict(block.named_children())) for stage in stages
            for block in stage} == {count}
    assert backbone.variant == ('resnet' if 'resnet' in name else 'rir')


@pytest.mark.parametrize(('backbone', 'name'), [
    (dict(type='mmext.AllCNN'), 'all_cnn_c'), (dict(type='mmext.AllCNN', half_identity=True), 'all_cnn_c_init'),
    (dict(type='mmext.RiR', depth=18), 'rir18_wide'),
    (dict(type='mmext.RiR', blocks=(2, 2, 2), layers_per_block=5), 'rir_6x5'),
    (dict(type='mmext.ResNet', depth=50, avg_down=True), 'resnet50_avgdown'),
    (dict(type='mmext.ResNet', depth=50, stem='conv3x3'), 'resnet50'),
    (dict(type='mmext.RecursiveResNeXt', formula='resnet'), 'resnext29_2x64d'),
    (dict(type='mmext.RecursiveResNeXt'), 'resnext29_2x64d_recursive'),
    (dict(type='mmext.ResNet', depth=51), None), (dict(type='ResNet', depth=50), None)])
def test_a_backbone_of_a_config_has_the_name_that_says_most(backbone: dict, name: str | None):
    assert name_of(backbone) == name
