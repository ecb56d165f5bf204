"""A mistyped or unscoped ``type``, an argument that a component does not have, channels that do not fit: one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmext.engine.channels import maps_of
from mmext.engine.config import load_config
from mmext.errors import UserError
from tests.conftest import CONFIG, ROOT

CONFIGS = ROOT / 'configs'
VIDEO = 'iresnet3d50_kinetics400.py'
CIFAR = 'classification/rir_cifar10.py'


def refusal(config: str, options: dict, **changes: object) -> str:
    with pytest.raises(UserError) as caught:
        load_config(CONFIGS / config, options=options, **changes)
    assert '\n' not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(('config', 'key', 'kind', 'near'), [
    ('ssd300_iresnet50_coco.py', 'train_dataloader.dataset.pipeline.1.type', 'LoadAnotations', 'LoadAnnotations'),
    ('ssd300_iresnet50_coco.py', 'train_dataloader.dataset.pipeline.0.type', 'LoadImageFromFiles', 'LoadImageFromFile'),
    ('ssd300_iresnet50_coco.py', 'model.type', 'SingleStageDetecter', 'SingleStageDetector'),
    ('ssd300_iresnet50_coco.py', 'model.backbone.type', 'IResNet', 'mmext.IResNet'),
    ('ssd300_iresnet50_coco.py', 'model.neck.type', 'SSDNek', 'SSDNeck'),
    ('ssd300_iresnet50_coco.py', 'model.bbox_head.anchor_generator.type', 'SSDAnchorGen', 'SSDAnchorGenerator'),
    ('ssd300_iresnet50_coco.py', 'model.train_cfg.assigner.type', 'MaxIouAssigner', 'MaxIoUAssigner'),
    ('ssd300_iresnet50_coco.py', 'model.backbone.init_cfg.type', 'Pretraind', 'Pretrained'),
    ('ssd300_iresnet50_coco.py', 'train_dataloader.dataset.type', 'COCODataset', 'mmext.CocoDataset'),
    ('ssd300_iresnet50_coco.py', 'train_dataloader.sampler.type', 'DefaultSampller', 'DefaultSampler'),
    ('ssd300_iresnet50_coco.py', 'train_dataloader.collate_fn.type', 'pseudo_colate', 'pseudo_collate'),
    ('ssd300_iresnet50_coco.py', 'train_dataloader.worker_init_fn.type', 'seed_worker', 'mmext.seed_worker'),
    ('ssd300_iresnet50_coco.py', 'optim_wrapper.type', 'AmpOptimWraper', 'AmpOptimWrapper'),
    ('ssd300_iresnet50_coco.py', 'optim_wrapper.optimizer.type', 'AdamWW', 'AdamW'),
    ('ssd300_iresnet50_coco.py', 'optim_wrapper.constructor', 'DefaultOptimWraperConstructor',
     'DefaultOptimWrapperConstructor'),
    ('ssd300_iresnet50_coco.py', 'param_scheduler.0.type', 'LinearLr', 'LinearLR'),
    ('ssd300_iresnet50_coco.py', 'custom_hooks.1.type', 'FiniteLossHook', 'mmext.FiniteLossHook'),
    ('ssd300_iresnet50_coco.py', 'default_hooks.checkpoint.type', 'ChekpointHook', 'CheckpointHook'),
    ('ssd300_iresnet50_coco.py', 'visualizer.type', 'DetLocalVisualiser', 'DetLocalVisualizer'),
    ('ssd300_iresnet50_coco.py', 'visualizer.vis_backends.0.type', 'LocalVisBackends', 'LocalVisBackend'),
    ('ssd300_iresnet50_coco.py', 'val_evaluator.type', 'CocoMetrics', 'mmext.CocoMetric'),
    ('ssd300_iresnet50_coco.py', 'train_cfg.type', 'EpochTrainLoop', 'EpochBasedTrainLoop'),
    ('ssd300_iresnet50_coco.py', 'log_processor.type', 'LogProcesor', 'LogProcessor'),
    (VIDEO, 'model.cls_head.type', 'I3dHead', 'I3DHead'),
    (VIDEO, 'test_evaluator.type', 'ActionAccuracy', 'mmext.ActionAccuracy'),
    (VIDEO, 'test_dataloader.dataset.pipeline.0.type', 'OpenVideo', 'mmext.OpenVideo'),
    (CIFAR, 'model.type', 'Classifier', 'mmext.Classifier'),
    (CIFAR, 'train_dataloader.dataset.type', 'mmext.Cifar', 'mmext.'),
])
def test_a_type_that_does_not_exist(config: str, key: str, kind: str, near: str):
    line = refusal(config, {key: kind})
    assert line.startswith(f'{key}: there is no {kind!r}; did you mean') and f"'{near}" in line


@pytest.mark.parametrize(('options', 'says'), [
    ({'train_dataloader.dataset.pipeline.3.type': 'CocoDataset'},
     "train_dataloader.dataset.pipeline.3.type: 'CocoDataset' is registered, but not for this place"),
    ({'train_dataloader.dataset.pipeline.3': dict(scale=3, _delete_=True)},
     'train_dataloader.dataset.pipeline.3: has no type'),
    ({'optim_wrapper.optimizer.type': 3}, 'optim_wrapper.optimizer.type: 3 is not the name'),
    ({'model': 3}, 'model: 3 is not a dict'), ({'default_scope': 'mmdett'}, "default_scope: there is no 'mmdett'"),
])
def test_what_can_not_be_built(options: dict, says: str):
    assert says in refusal('ssd300_iresnet50_coco.py', options)


def test_an_argument_of_the_base_configs_type(tmp_path: Path):
    (tmp_path / 'a.py').write_text(f"_base_ = '{ROOT / CONFIG}'\noptim_wrapper = dict(optimizer=dict(type='AdamW'))\n")
    with pytest.raises(UserError, match=r"optim_wrapper.optimizer: AdamW has no argument 'momentum'.*_delete_=True"):
        load_config(tmp_path / 'a.py')
    (tmp_path / 'b.py').write_text(f"_base_ = '{ROOT / CONFIG}'\ntrain_pipeline = [dict(type='NoSuch')]\n")
    load_config(tmp_path / 'b.py')  # nothing reads that variable


@pytest.mark.parametrize(('config', 'says'), [
    ('ssd300_iresnet50_coco.py', 'model.neck.in_channels=[256] model.neck.out_channels=[256,512,512,256,256,256] '
     'model.bbox_head.in_channels=[256,512,512,256,256,256]'),
    ('faster_rcnn_iresnet50_fpn_coco.py', 'model.neck.in_channels=[64,128,256,512]'),
    ('retinanet_iresnet50_fpn_coco.py', 'model.neck.in_channels=[64,128,256,512]'),
    ('cascade_rcnn_iresnet50_fpn_coco.py', 'model.neck.in_channels=[64,128,256,512]'),
    ('faster_rcnn_resnet50_c5_coco.py', 'model.rpn_head.in_channels=512 model.roi_head.bbox_head.in_channels=512 '
     'model.roi_head.bbox_roi_extractor.out_channels=512'),
    (VIDEO, 'model.cls_head.in_channels=512'),
    ('demo/iresnet18_motion_frames.py', 'model.cls_head.in_channels=2048'),
])
def test_channels_of_another_depth(config: str, says: str):
    depth = 50 if '18' in config else 18
    line = refusal(config, {'model.backbone.depth': depth})
    assert f'of depth {depth} has maps of' in line and f'give --cfg-options {says}, or use --backbone' in line
    words = dict(word.split('=') for word in says.split())
    remedy = {key: [int(number) for number in text[1:-1].split(',')] if text[0] == '[' else int(text)
              for key, text in words.items()}
    load_config(CONFIGS / config, options={'model.backbone.depth': depth, **remedy})


@pytest.mark.parametrize(('config', 'options', 'says'), [
    ('ssd300_iresnet50_coco.py', {'model.backbone.out_indices': (1, 2)}, 'model.neck.in_channels: [1024], but'),
    ('ssd300_iresnet50_coco.py', {'model.backbone.strides': (1, 2, 2)}, 'has maps of [1024] channels and strides [16]'),
    ('retinanet_iresnet50_fpn_coco.py', {'model.bbox_head.anchor_generator.strides': [4, 8, 16, 32, 64]},
     'model.bbox_head.anchor_generator.strides=[8,16,32,64,128]'),
    ('retinanet_iresnet50_fpn_coco.py', {'model.neck.out_channels': 128}, 'model.bbox_head.in_channels=128'),
    ('faster_rcnn_iresnet50_fpn_coco.py', {'model.backbone.dilations': (1, 1, 1, 2), 'model.backbone.strides':
                                           (1, 2, 2, 1)}, 'model.rpn_head.anchor_generator.strides=[4,8,16,16,32]'),
    ('faster_rcnn_resnet50_c5_coco.py', {'model.roi_head.bbox_roi_extractor.featmap_strides': [16]},
     'model.roi_head.bbox_roi_extractor.featmap_strides=[32]'),
])
def test_maps_and_strides(config: str, options: dict, says: str):
    assert says in refusal(config, options)


def test_maps_of_anothers_backbone():
    assert maps_of(dict(type='ResNet', depth=18, out_indices=(1, 3)), 'mmdet', False) == ([128, 512], [8, 32])
    options = {'model.backbone.type': 'ResNet', 'model.backbone.depth': 18}
    line = refusal('retinanet_iresnet50_fpn_coco.py', options)
    assert 'ResNet of depth 18 has maps of [64,128,256,512] channels' in line
    assert 'model.backbone: ResNet cannot be built' in refusal('ssd300_iresnet50_coco.py', options)  # its dilations
