"""A wrong argument ends in a UserError of one line that says what would be right."""

from __future__ import annotations

import pytest
import torch

from mmext import create_backbone
from mmext.backbones import (
    AllCNN,
    IResNet,
    RecursiveRes2NeXt,
    RecursiveResNet,
    RecursiveResNeXt,
    ResMax,
    ResNet,
    RiR,
)
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
    ('cresnet27', "'cresnet27_a'"),
    ('resnet18s', "'resnet18"),
    ('seresnet18_recursiv', "'seresnet18_recursive'"),
    ('rir_32', "'rir32'"),
    ('allcnn_c', "'all_cnn_c'"),
    ('vgg16', 'mmext.list_backbones()'),
    ('', 'mmext.list_backbones()'),
])
def test_an_unknown_name_suggests_the_nearest(name: str, suggested: str) -> None:
    with user_error(f'no backbone {name!r}', suggested):
        create_backbone(name)


@pytest.mark.parametrize(('cls', 'depth', 'fragments'), [
    (IResNet, 51, ('IResNet has no depth 51', '18, 34, 50, 101, 152, 200, 302, 404, 164, 1001, 2000, 3002')),
    (ResNet, 303, ('ResNet has no depth 303', '18, 34, 50, 101, 152, 200, 302, 404, 164')),
    (ResMax, '50', ("ResMax has no depth '50'; there are 50", )),
    (RecursiveResNet, 152, ('RecursiveResNet has no depth 152; there are 18, 34, 50, 101', )),
    (RecursiveResNeXt, 50, ('RecursiveResNeXt has no depth 50; there are 29', )),
    (RecursiveRes2NeXt, 50, ('RecursiveRes2NeXt has no depth 50; there are 29', )),
    (RiR, 34, ('RiR has no depth 34; there are 32, 18', )),
    (AllCNN, 10, ('AllCNN has no depth 10; there are 9', )),
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
    'outputs before the first': (dict(out_indices=(-5, )), ('out_indices: -5', 'between 0 and 3', '-4 and -1')),
    'no stages': (dict(num_stages=0), ('num_stages: 0', 'between 1 and 4')),
    'too many stages': (dict(num_stages=5), ('num_stages: 5', 'between 1 and 4')),
    'frozen beyond the stages': (dict(num_stages=2, frozen_stages=3), ('frozen_stages: 3', 'between -1 and 2')),
    'one dimension': (dict(dims=1), ('dims=1', 'images', 'clips')),
    'outputs, not a list': (dict(out_indices=2), ('out_indices=2', 'such as')),
    'no outputs': (dict(out_indices=()), ('out_indices=()', )),
    'strides, not a list': (dict(strides=2), ('strides=2', 'need 4')),
    'no temporal stride': (dict(stem_temporal_stride=0), ('stem_temporal_stride: 0', )),
    'unknown norm': (dict(norm_cfg=dict(type='BNN')), ("'BNN'", "can't make a norm layer for 64 channels")),
    'group norm without groups': (dict(norm_cfg=dict(type='GN')), ("'GN'", 'argument is missing')),
    'groups that do not divide': (dict(norm_cfg=dict(type='GN', num_groups=7)), ('64 channels', 'num_groups')),
    'weights without a file': (dict(init_cfg=dict(type='Pretrained')), ('the checkpoint is missing', )),
    'weights with an unknown key': (dict(init_cfg=dict(type='Pretrained', checkpoint='x', chekpoint='y')),
                                    ("unknown key 'chekpoint'", )),
    'norm without type': (dict(norm_cfg=dict(num_groups=4)), ('norm_cfg', 'has no type')),
}


@pytest.mark.parametrize('case', WRONG)
def test_a_wrong_option(case: str) -> None:
    options, fragments = WRONG[case]
    with user_error(*fragments):
        on_meta('iresnet18', **options)


WRONG_BLOCKS = {
    'a cross-block of another depth': ('cresnet27_a', dict(depth=34), "CResNet of variant 'a' has no depth 34",
                                       'there are 18, 27'),
    'a depth of another variant': ('cresnet27_c1', dict(depth=18), "variant 'c1' has no depth 18", 'there are 27'),
    'a variant that is none': ('cresnet27_a', dict(variant='a3'), "CResNet has no variant 'a3'", 'b3', "'a'"),
    'no variant': ('cresnet27_a', dict(variant=None), 'CResNet has no variant None', 'a, a1, a2, b'),
    'too few blocks': ('cresnet27_a', dict(blocks=(2, 2)), 'blocks=(2, 2)', 'need 4 positive integers'),
    'a stage without blocks': ('cresnet27_a', dict(blocks=(2, 0, 2, 2)), 'blocks=(2, 0, 2, 2)', 'positive'),
    'blocks, not a list': ('cresnet27_a', dict(blocks=2), 'blocks=2', 'need 4'),
    **{f'no other wiring of {variant}': (f'cresnet27_{variant}', dict(authors_wiring=True), 'authors_wiring',
                                         f"{variant!r} as the paper does", 'b1 and b3')
       for variant in ('a', 'a1', 'a2', 'b', 'b2', 'c', 'c1')},
    'a RiR variant': ('rir32', dict(variant='rri'), "RiR has no variant 'rri'", 'cnn, resnet, init, rir'),
    'four stages of RiR': ('rir32', dict(blocks=(2, 2, 2, 2)), 'blocks=(2, 2, 2, 2)', 'need 3'),
    'two filters': ('rir32', dict(filters=(16, 32)), 'filters=(16, 32)', 'need 3'),
    'no filters': ('rir_cnn32', dict(filters=(16, 32, 0)), 'filters=(16, 32, 0)', 'positive'),
    'odd filters for two streams': ('rir32', dict(filters=(16, 33, 64)), 'filters=(16, 33, 64)', "'rir'", 'even'),
    'odd filters, no shortcut': ('rir_init32', dict(filters=(15, 32, 64)), "'init'", 'even'),
    'empty blocks': ('rir32', dict(layers_per_block=0), 'layers_per_block: 0', 'between 1 and'),
    'half a layer': ('rir32', dict(layers_per_block=1.5), 'layers_per_block: 1.5'),
    'no groups': ('resnext29_2x64d', dict(cardinality=0), 'cardinality: 0', 'between 1 and'),
    'groups as text': ('res2next29_6c24w4s', dict(cardinality='6'), "cardinality: '6'"),
    'no width': ('resnext29_2x64d_recursive', dict(base_width=0), 'base_width: 0', 'between 1 and'),
    'a fraction of a width': ('res2next29_6c24w4s', dict(base_width=1.5), 'base_width: 1.5'),
    **{f'no branch of {name} starts at zero': (name, dict(zero_init_residual=True), 'zero_init_residual', kind)
       for name, kind in (('cresnet18_a', 'CResNet'), ('rir32', 'RiR'), ('rir_resnet32', 'RiR'),
                          ('all_cnn_c', 'AllCNN'), ('seresnet18', 'SE block'), ('seresnet50_recursive', 'SE block'))},
    **{f'no branch of {formula} starts at zero': ('resnet18_recursive', dict(zero_init_residual=True, formula=formula),
                                                  'zero_init_residual', 'alone in relu(...)')
       for formula in ('eq21', 'appendix1', 'appendix2', 'relu(W[i] X[i-1]) + X[i-1]')},
}


@pytest.mark.parametrize('case', WRONG_BLOCKS)
def test_a_wrong_block(case: str) -> None:
    name, options, *fragments = WRONG_BLOCKS[case]
    with user_error(*fragments):
        on_meta(name, **options)


def test_odd_filters_are_fine_in_one_stream() -> None:
    assert on_meta('rir_resnet32', filters=(15, 33, 65)).feature_info.channels() == [15, 33, 65]


@pytest.mark.parametrize(('name', 'options', 'smallest'), [
    ('resnet18', {}, 32), ('iresnet50', {}, 32), ('iresnet164_cifar', {}, 4), ('cresnet18_a', {}, 8),
    ('cresnet27_b', dict(stem='conv7x7'), 32), ('resnet18_recursive', {}, 8), ('resnext29_2x64d', {}, 4),
    ('rir32', {}, 4), ('rir32', dict(num_stages=2), 2), ('resnet18_recursive', dict(strides=(1, 1, 1, 1)), 1),
    ('all_cnn_c', {}, 12), ('all_cnn_c_init', dict(stem='conv7x7'), 48), ('all_cnn_c', dict(num_stages=2), 2),
    ('all_cnn_c', dict(dilations=(1, 1, 2)), 20), ('all_cnn_c', dict(padded=True), 4),
])
def test_an_image_smaller_than_the_stride(name: str, options: dict, smallest: int) -> None:
    net = on_meta(name, **options).eval()
    with torch.no_grad():
        assert net(torch.empty(1, 3, smallest, smallest + 3, device='meta'))[-1].shape[2] == 1
        for size in ((smallest - 1, 64), (64, smallest - 1)):
            with user_error(f'an image of {size[0]} x {size[1]}', 'too small', f'at least {smallest} pixels', net.stem):
                net(torch.empty(1, 3, *size, device='meta'))


@pytest.mark.parametrize('name', ['resnet18', 'cresnet18_a', 'resnet18_recursive', 'rir32', 'all_cnn_c'])
@pytest.mark.parametrize(('dims', 'shape', 'taken'), [(2, (1, 3, 4, 32, 32), '(N, C, H, W)'),
                                                      (2, (3, 32, 32), '(N, C, H, W)'),
                                                      (3, (1, 3, 32, 32), '(N, C, T, H, W)')])
def test_an_input_of_other_dimensions(name: str, dims: int, shape: tuple[int, ...], taken: str) -> None:
    with user_error(f'input of shape {shape}', f'dims={dims}', taken):
        on_meta(name, dims=dims)(torch.empty(shape, device='meta'))


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
