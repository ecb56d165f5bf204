"""``--backbone NAME``: the network keeps its paper's stem, unless the config's is of another stride."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.registry import MODELS, init_default_scope

from mmext.engine.config import load_config
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
    ('recursive_imagenet', 'seresnet50_recursive', 'conv7x7', 2048),
    ('rir_cifar10', 'all_cnn_c_init', 'conv3x3', 192),
    ('rir_cifar100', 'rir_resnet18_wide', 'conv3x3', 384),
])
def test_stem_and_channels(recipe: str, name: str, stem: str, channels: int):
    config = load_config(RECIPES / f'{recipe}.py', backbone=name)
    with torch.device('meta'):
        model = MODELS.build(config.model)
    assert model.backbone.stem == stem and model.fc.in_features == channels
    size = 224 if stem == 'conv7x7' else 32
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


def test_what_is_the_other_networks_alone_goes():
    config = load_config(RECIPES / 'rir_cifar10.py', backbone='rir_init32')
    assert config.model.backbone == dict(type='mmext.RiR', depth=32, variant='init', init_cfg=None)
    config = load_config(RECIPES / 'cresnet_cifar10.py', backbone='resnet18')
    assert config.model.backbone == dict(type='mmext.ResNet', depth=18, stem='conv3x3_twice', init_cfg=None)


@pytest.mark.parametrize(('config', 'name', 'says'), [
    (RECIPES / 'rir_cifar10.py', 'rir23', "no backbone 'rir23'; did you mean"),
    (ROOT / 'configs' / '_base_' / 'schedules' / 'rir_82e.py', 'rir32', 'this config has no model.backbone'),
])
def test_what_can_not_be_put_in(config: Path, name: str, says: str):
    with pytest.raises(UserError) as caught:
        load_config(config, backbone=name)
    assert says in str(caught.value) and '\n' not in str(caught.value)
