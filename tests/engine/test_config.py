"""Overrides of a config: data root, classes, backbone, options."""

from __future__ import annotations

from pathlib import Path

import pytest

import mmext
from mmext.engine.config import datasets_of, load_config, make_safe, read_config
from mmext.errors import UserError
from tests.conftest import CONFIG, ROOT

CONFIGS = sorted(str(path.relative_to(ROOT / 'configs')) for folder in ('', 'demo')
                 for path in (ROOT / 'configs' / folder).glob('*.py'))


def strings(node: object) -> list[str]:
    """Every string of a config."""
    if isinstance(node, dict):
        return [text for value in node.values() for text in strings(value)]
    if isinstance(node, (list, tuple)):
        return [text for value in node for text in strings(value)]
    return [node] if isinstance(node, str) else []


@pytest.mark.parametrize('name', CONFIGS)
def test_data_root_moves_everything(name: str):
    before = load_config(ROOT / 'configs' / name)
    root = before.data_root
    assert any(text.startswith(root) for text in strings(before._cfg_dict))
    config = load_config(ROOT / 'configs' / name, data_root='/elsewhere')
    assert not [text for text in strings(config._cfg_dict) if root.rstrip('/') in text]
    assert {dataset.data_root for dataset in datasets_of(config)} == {'/elsewhere/'}
    if 'ann_file' in before.val_evaluator:
        assert config.val_evaluator.ann_file == config.test_evaluator.ann_file == (
            '/elsewhere/annotations/instances_val2017.json')


@pytest.mark.parametrize('name', ['iresnet50', 'resgroup101', 'resnet18', 'iresnet164_cifar', 'preact_resnet50',
                                  'resstage50', 'resmax50', 'resnext50_32x4d', 'iresgroupfix152'])
def test_backbone_with_its_channels(name: str):
    config = load_config(ROOT / CONFIG, backbone=name)
    channels = mmext.create_backbone(name).feature_info.channels()[2]
    assert config.model.neck.in_channels == (channels, )
    assert config.model.neck.out_channels == config.model.bbox_head.in_channels == (channels, 512, 512, 256, 256, 256)
    assert config.model.backbone.strides == (1, 2, 1)


def test_swapping_drops_the_other_networks_weights():
    options = {'model.backbone.init_cfg': dict(type='Pretrained', checkpoint='x.pth')}
    assert load_config(ROOT / CONFIG, options=options).model.backbone.init_cfg.checkpoint == 'x.pth'
    config = load_config(ROOT / CONFIG, backbone='resnet50', options=None)
    assert config.model.backbone.init_cfg is None


def test_classes_reach_data_sets_and_head(shapes: Path):
    config = load_config(ROOT / CONFIG, data_root=str(shapes), classes='auto')
    assert config.model.bbox_head.num_classes == 3
    for dataset in datasets_of(config):
        assert tuple(dataset.metainfo.classes) == ('circle', 'square', 'triangle')
    assert load_config(ROOT / CONFIG, classes='cat, dog').model.bbox_head.num_classes == 2


@pytest.mark.parametrize('key, value', [
    ('model.backbone.with_cp', True),
    ('model.backbone.relu_shortcut', True),
    ('train_dataloader.pin_memory', True),
    ('optim_wrapper.accumulative_counts', 4),
    ('optim_wrapper.paramwise_cfg.norm_decay_mult', 0),
    ('optim_wrapper.clip_grad.max_norm', 10),
    ('optim_wrapper.optimizer.nesterov', True),
    ('env_cfg.dist_cfg.timeout', 3600),
    ('train_dataloader.dataset.on_error', 'raise'),
    ('model.neck.act_cfg', None),
    ('find_unused_parameters', True),
])
def test_options_that_components_accept(key: str, value: object):
    config = load_config(ROOT / CONFIG, options={key: value})
    node = config._cfg_dict
    for part in key.split('.'):
        node = node[int(part)] if part.isdigit() else node[part]
    assert node == value


def test_a_new_type_brings_its_arguments():
    options = {'optim_wrapper.loss_scale': 'dynamic', 'optim_wrapper.type': 'AmpOptimWrapper'}
    assert load_config(ROOT / CONFIG, options=options).optim_wrapper.loss_scale == 'dynamic'


@pytest.mark.parametrize('key, says', [
    ('model.backbone.dept', "'model.backbone.depth'"),
    ('train_dataloader.batchsize', "'train_dataloader.batch_size'"),
    ('train_dataloader.dataset.ann_fil', "'train_dataloader.dataset.ann_file'"),
    ('optim_wrapper.optimizer.learning', "no key 'learning'"),
    ('optim_wrapper.loss_scale', "no key 'loss_scale'"),
    ('model.bbox_head.anchor_generator.strides.9', 'is a list of 6'),
    ('trian_cfg.max_epochs', "'train_cfg'"),
    ('train_cfg.max_epochs.x', 'has no keys'),
    ('default_hooks.checkpoint.intervall', "'default_hooks.checkpoint.interval'"),
])
def test_mistyped_options(key: str, says: str):
    with pytest.raises(UserError) as caught:
        load_config(ROOT / CONFIG, options={key: 1})
    assert key in str(caught.value) and says in str(caught.value) and '\n' not in str(caught.value)


@pytest.mark.parametrize('change, says', [
    ("backbone=dict(type='mmext.IResNett')", "there is no 'mmext.IResNett'; did you mean 'mmext.IResNet'"),
    ('backbone=dict(withcp=True)', "model.backbone: mmext.IResNet has no argument 'withcp'; did you mean 'with_cp'"),
])
def test_mistyped_component_in_a_config(tmp_path: Path, change: str, says: str):
    path = tmp_path / 'config.py'
    path.write_text(f"_base_ = '{ROOT / CONFIG}'\nmodel = dict({change})\n")
    with pytest.raises(UserError) as caught:
        load_config(path)
    assert says in str(caught.value)


@pytest.mark.parametrize('text, says', [
    ('model = dict(', 'line 1'),
    ("_base_ = 'absent.py'", 'absent.py'),
    ('model = undefined', 'undefined'),
])
def test_broken_config(tmp_path: Path, text: str, says: str):
    path = tmp_path / 'config.py'
    path.write_text(text)
    with pytest.raises(UserError, match=says) as caught:
        load_config(path)
    assert str(path) in str(caught.value) and '\n' not in str(caught.value)


def test_classes_leave_parts_with_classes_of_their_own():
    config = load_config(ROOT / 'configs' / 'faster_rcnn_iresnet50_fpn_coco.py', classes='a,b', options={
        'model.rpn_head.num_classes': 1})
    assert (config.model.roi_head.bbox_head.num_classes, config.model.rpn_head.num_classes) == (2, 1)


def test_plain_loading_becomes_ours_in_data_sets_of_others():
    config = read_config(ROOT / 'configs' / 'retinanet_iresnet50_fpn_coco.py')
    for name in ('train', 'val', 'test'):
        config[f'{name}_dataloader'].dataset.type = 'VOCDataset'
    options = dict(type='LoadImageFromFile', color_type='grayscale')
    config.test_dataloader.dataset.pipeline[0] = options
    make_safe(config)
    first = [config[f'{name}_dataloader'].dataset.pipeline[0] for name in ('train', 'val', 'test')]
    assert first[2] == options
    assert [(step['type'], step['on_error']) for step in first[:2]] == [('mmext.LoadImage', 'skip'),
                                                                        ('mmext.LoadImage', 'raise')]


def test_plain_data_sets_of_mmdets_become_ours():
    config = read_config(ROOT / 'configs' / 'retinanet_iresnet50_fpn_coco.py')
    config.train_dataloader.dataset = dict(type='RepeatDataset', times=2, dataset=config.train_dataloader.dataset)
    config.test_dataloader.dataset.backend_args = dict(backend='petrel')  # not ours to read
    make_safe(config)
    train = config.train_dataloader.dataset.dataset
    assert (train.type, train.subset, config.val_dataloader.dataset.type) == ('mmext.CocoDataset', True,
                                                                             'mmext.CocoDataset')
    assert config.test_dataloader.dataset.type == 'CocoDataset'
