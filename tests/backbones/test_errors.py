"""A wrong argument ends in a UserError of one line that says what would be right."""

from __future__ import annotations

import pytest

from mmext import create_backbone
from mmext.backbones import IResNet, ResMax, ResNet
from mmext.backbones.iresnet import resstage
from mmext.errors import nearest, shorten
from tests.backbones.helpers import on_meta, user_error


@pytest.mark.parametrize(('name', 'suggested'), [
    ('irsnet50', "'iresnet50'"),
    ('iresnet-50', "'iresnet50'"),
    ('resnext_50_32x4d', "'resnext50_32x4d'"),
    ('iresnet1001cifar', "'iresnet1001_cifar'"),
    ('preact_resnet18', "'preact_resnet"),
    ('resnext50', "'resnext50_32x4d'"),
    ('iresnet1001', "'iresnet1001_cifar'"),
    ('vgg16', 'mmext.list_backbones()'),
    ('', 'mmext.list_backbones()'),
])
def test_an_unknown_name_suggests_the_nearest(name: str, suggested: str) -> None:
    with user_error(f'no backbone {name!r}', suggested):
        create_backbone(name)


@pytest.mark.parametrize(('cls', 'depth', 'fragments'), [
    (IResNet, 51, ('IResNet has no depth 51', '18, 34, 50, 101, 152, 200, 302, 404, 164, 1001, 2000, 3002')),
    (ResNet, 302, ('ResNet has no depth 302', '18, 34, 50, 101, 152, 200, 164')),
    (ResMax, '50', ("ResMax has no depth '50'; there are 50", )),
])
def test_an_unknown_depth_lists_the_depths(cls: type, depth: object, fragments: tuple[str, ...]) -> None:
    with user_error(*fragments):
        cls(depth)


WRONG = {
    'stem, misspelt': (dict(stem='conv7x8'), ("no stem 'conv7x8'", 'conv3x3_twice', "did you mean 'conv7x7'")),
    'strides, too few': (dict(strides=(1, 2)), ('strides=(1, 2)', 'need 4 positive integers')),
    'strides, too many': (dict(strides=(1, 2, 2, 2), num_stages=3), ('need 3 positive integers', )),
    'strides, zero': (dict(strides=(1, 2, 0, 2)), ('strides=(1, 2, 0, 2)', )),
    'strides, fractions': (dict(strides=(1, 2, 2, 0.5)), ('strides=(1, 2, 2, 0.5)', )),
    'dilations, too few': (dict(dilations=(1, )), ('dilations=(1,)', 'need 4')),
    'temporal strides, too few': (dict(dims=3, temporal_strides=(1, 1)), ('temporal_strides=(1, 1)', )),
    'outputs beyond the stages': (dict(out_indices=(0, 4)), ('out_indices: 4', 'between 0 and 3')),
    'outputs beyond a cut': (dict(num_stages=3, out_indices=(3, )), ('out_indices: 3', 'between 0 and 2')),
    'outputs from the end': (dict(out_indices=(-1, )), ('out_indices: -1', )),
    'no stages': (dict(num_stages=0), ('num_stages: 0', 'between 1 and 4')),
    'too many stages': (dict(num_stages=5), ('num_stages: 5', 'between 1 and 4')),
    'frozen beyond the stages': (dict(num_stages=2, frozen_stages=3), ('frozen_stages: 3', 'between -1 and 2')),
    'one dimension': (dict(dims=1), ('dims=1', 'images', 'clips')),
    'outputs, not a list': (dict(out_indices=2), ('out_indices=2', 'such as')),
    'no outputs': (dict(out_indices=()), ('out_indices=()', )),
    'strides, not a list': (dict(strides=2), ('strides=2', 'need 4')),
    'no temporal stride': (dict(stem_temporal_stride=0), ('stem_temporal_stride: 0', )),
    'unknown norm': (dict(norm_cfg=dict(type='BNN')), ("'BNN'", 'no norm for 64 channels')),
    'group norm without groups': (dict(norm_cfg=dict(type='GN')), ("'GN'", 'argument is missing')),
    'groups that do not divide': (dict(norm_cfg=dict(type='GN', num_groups=7)), ('64 channels', 'num_groups')),
    'weights without a file': (dict(init_cfg=dict(type='Pretrained')), ('no checkpoint is named', )),
    'weights with an unknown key': (dict(init_cfg=dict(type='Pretrained', checkpoint='x', chekpoint='y')),
                                    ("no key 'chekpoint'", )),
    'norm without type': (dict(norm_cfg=dict(num_groups=4)), ('norm_cfg', 'has no type')),
}


@pytest.mark.parametrize('case', WRONG)
def test_a_wrong_option(case: str) -> None:
    options, fragments = WRONG[case]
    with user_error(*fragments):
        on_meta('iresnet18', **options)


@pytest.mark.parametrize('blocks', [0, 1])
def test_a_resstage_needs_two_blocks(blocks: int) -> None:
    with user_error(f'a stage of {blocks} block(s)', 'Start', 'End'):
        resstage(blocks)


def test_a_cifar_net_has_three_stages() -> None:
    with user_error('num_stages: 4', 'between 1 and 3'):
        on_meta('iresnet164_cifar', num_stages=4)


def test_nearest_is_silent_without_a_likeness() -> None:
    assert nearest('vgg', ['resnet50']) == ''
    assert nearest('resnet5', ['resnet50', 'alexnet']) == "; did you mean 'resnet50'?"


def test_shorten() -> None:
    assert shorten('abc') == 'a, b, c'
    assert shorten('abcdefgh') == 'a, b, c and 5 more'
    assert shorten([]) == ''
