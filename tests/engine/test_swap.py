"""``--backbone NAME``: the network keeps its paper's stem, unless the config's is of another stride."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.registry import MODELS, init_default_scope

from mmext.engine.config import load_config
from mmext.engine.swap import swap_backbone
from mmext.errors import UserError
from tests.conftest import CONFIG, ROOT

RECIPES = ROOT / 'configs' / 'classification'


@pytest.mark.parametrize(('recipe', 'name', 'stem', 'channels'), [
    ('recursive_cifar10', 'resnet18', 'conv3x3', 512),  # its own is for large images
    ('recursive_cifar10', 'resnet50_recursive', 'conv3x3', 2048),
    ('recursive_cifar100', 'resnext29_2x64d', 'conv1x1', 1024),
    ('recursive_cifar100', 'resnext29_4x64d_recursive', 'conv1x1', 2048),
    ('recursive_cifar10', 'res2next29_6c24w4s_recursive', 'conv3x3', 1536),
    ('recursive_cifar10', 'seresnet18', 'conv3x3', 512),
    ('cresnet_cifar10', 'resnet18', 'conv3x3_twice', 512),
    ('cresnet_svhn', 'cresnet27_b2', 'conv3x3_twice', 1024),
    ('cresnet_mnist', 'resnet34_recursive', 'conv3x3', 512),
    ('iresnet_cifar10', 'iresnet50', 'conv3x3', 2048),
    ('iresnet_cifar100', 'resnet164_cifar', 'conv3x3', 256),
    ('iresnet_imagenet', 'cresnet27_a2', 'conv7x7', 512),
    ('iresnet_imagenet', 'iresnet164_cifar', 'conv7x7', 256),
    ('iresnet_imagenet', 'rir18_wide', 'conv7x7', 384),
    ('iresnet_imagenet', 'resnet50d', 'deep', 2048),
    ('rir_cifar10', 'resnet50d', 'conv3x3', 2048),  # its own is for large images
    ('recursive_imagenet', 'seresnet50_recursive', 'conv7x7', 2048),
    ('rir_cifar10', 'all_cnn_c_init', 'conv3x3', 192),
    ('rir_cifar100', 'rir_resnet18_wide', 'conv3x3', 384),
])
def test_stem_and_channels(recipe: str, name: str, stem: str, channels: int):
    config = load_config(RECIPES / f'{recipe}.py', backbone=name)
    with torch.device('meta'):
        model = MODELS.build(config.model)
    assert model.backbone.stem == stem and model.fc.in_features == channels
    size = 224 if stem in ('conv7x7', 'deep') else 32
    assert model(torch.empty(2, 3, size, size, device='meta')).shape == (2, config.num_classes)


@pytest.mark.parametrize(('name', 'channels', 'maps'), [
    ('cresnet18_a', 256, 38), ('cresnet27_b3', 512, 38), ('resnet18_recursive', 256, 38), ('iresnet34', 256, 38),
    ('seresnet18_recursive', 256, 38), ('resnext29_2x64d_recursive', 1024, 38), ('rir32', 64, 38)])
def test_every_paper_in_a_detector(name: str, channels: int, maps: int):
    config = load_config(ROOT / CONFIG, backbone=name)
    init_default_scope('mmdet')
    with torch.device('meta'):
        detector = MODELS.build(config.model)
    assert detector.backbone.stem == 'conv7x7'
    assert detector.backbone.feature_info.channels() == [channels] and config.model.neck.in_channels == (channels, )
    scores, boxes = detector._forward(torch.empty(2, 3, 300, 300, device='meta'))
    assert [score.shape[2] for score in scores] == [maps, 19, 10, 5, 3, 1]
    assert sum(box.shape[1] // 4 * box.shape[2] ** 2 for box in boxes) == 8732


@pytest.mark.parametrize(('options', 'stem'), [
    ({'model.backbone.stem': 'conv1x1'}, 'conv1x1'), ({'model.backbone.stem': 'conv7x7'}, 'conv7x7')])
def test_a_stem_asked_for_is_taken(options: dict, stem: str):
    config = load_config(RECIPES / 'rir_cifar10.py', backbone='cresnet15_a1', options=options)
    with torch.device('meta'):
        assert MODELS.build(config.model).backbone.stem == stem


def test_a_network_of_fewer_stages_in_fpn():
    """What the config says of a fourth stage goes, the rest stays; FPN keeps its five outputs."""
    options = {'model.backbone.strides': (1, 2, 2, 1), 'model.backbone.dilations': (1, 1, 1, 2),
               'model.backbone.frozen_stages': 4, 'model.backbone.norm_eval': True,
               'model.rpn_head.anchor_generator.strides': [4, 8, 16, 16, 32],
               'model.roi_head.bbox_roi_extractor.featmap_strides': [4, 8, 16, 16]}
    path = ROOT / 'configs' / 'faster_rcnn_iresnet50_fpn_coco.py'
    config = load_config(path, options=options)
    before = dict(config.model.neck)
    swap_backbone(config, 'rir18_wide')
    assert config.model.backbone == dict(
        type='mmext.RiR', depth=18, variant='rir', stem='conv7x7', num_stages=3, out_indices=(0, 1, 2), frozen_stages=3,
        strides=(1, 2, 2), dilations=(1, 1, 1), norm_cfg=dict(type='BN'), norm_eval=True, init_cfg=None)
    assert config.model.neck == dict(before, in_channels=[96, 192, 384])


@pytest.mark.parametrize(('name', 'channels', 'stride'), [('iresnet50', 2048, 32), ('cresnet27_b1', 1024, 32),
                                                          ('rir18_wide', 384, 16), ('resnet164_cifar', 256, 16)])
@pytest.mark.parametrize('start', ['resnet50', 'cresnet15_a1'])
def test_a_detector_on_the_last_stage(name: str, channels: int, stride: int, start: str):
    """All its heads read the new map, at its stride; its anchors stay what they are in pixels."""
    model = load_config(ROOT / 'configs' / f'faster_rcnn_{start}_c5_coco.py', backbone=name).model
    assert model.backbone.out_indices == (3 if stride == 32 else 2, )
    anchors = model.rpn_head.anchor_generator
    assert (anchors.strides, anchors.base_sizes, anchors.scales) == ([stride], [32], [1, 2, 4, 8, 16])
    assert model.rpn_head.in_channels == model.rpn_head.feat_channels == channels
    extractor = model.roi_head.bbox_roi_extractor
    assert (extractor.out_channels, extractor.featmap_strides) == (channels, [stride])
    assert model.roi_head.bbox_head.in_channels == channels and model.roi_head.bbox_head.fc_out_channels == 1024


def test_an_rpn_of_its_own_width_keeps_it_and_every_stage_of_a_cascade_is_connected():
    config = load_config(ROOT / 'configs' / 'faster_rcnn_resnet50_c5_coco.py')
    config.model.rpn_head.feat_channels = 256
    config.model.roi_head.bbox_head = [config.model.roi_head.bbox_head] * 3
    swap_backbone(config, 'iresnet18')
    assert (config.model.rpn_head.in_channels, config.model.rpn_head.feat_channels) == (512, 256)
    assert [head.in_channels for head in config.model.roi_head.bbox_head] == [512] * 3


def test_what_is_the_other_networks_alone_goes():
    config = load_config(RECIPES / 'rir_cifar10.py', backbone='rir_init32')
    assert config.model.backbone == dict(type='mmext.RiR', depth=32, variant='init', init_cfg=None)
    config = load_config(RECIPES / 'cresnet_cifar10.py', backbone='resnet18')
    assert config.model.backbone == dict(type='mmext.ResNet', depth=18, stem='conv3x3_twice', init_cfg=None)


@pytest.mark.parametrize(('config', 'name', 'says'), [
    (RECIPES / 'rir_cifar10.py', 'rir23', "no backbone 'rir23'; did you mean"),
    (RECIPES.parent / '_base_/classification/schedules/rir_82e.py', 'rir32', 'this config has no model.backbone'),
])
def test_what_can_not_be_put_in(config: Path, name: str, says: str):
    with pytest.raises(UserError) as caught:
        load_config(config, backbone=name)
    assert says in str(caught.value) and '\n' not in str(caught.value)


@pytest.mark.parametrize(('config', 'change', 'says'), [
    ('ssd300_iresnet50_coco', {'model.backbone.out_indices': (1, 2)}, 'takes 1 feature maps, the backbone gives 2'),
    ('faster_rcnn_resnet50_c5_coco', {'model.roi_head.shared_head': dict(type='ResLayer')}, 'shared_head is a stage'),
])
def test_detectors_into_which_nothing_else_fits(config: str, change: dict, says: str):
    config = load_config(ROOT / 'configs' / f'{config}.py')
    config.merge_from_dict(change)
    with pytest.raises(UserError, match=says):
        swap_backbone(config, 'iresnet18')
