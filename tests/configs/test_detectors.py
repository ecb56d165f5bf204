"""The detectors' configs: maps, anchors and schedules are mmdet's or the papers', and every kind of them runs."""

from __future__ import annotations

import math
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, PARAM_SCHEDULERS, init_default_scope
from mmengine.structures import InstanceData
from torch import nn

from mmext.backbones.names import find_backbone
from mmext.engine.config import load_config
from mmext.engine.flags.training import apply_training_flags
from mmext.engine.hooks import MixedPrecisionHook
from tests.configs.learning import take_step
from tests.conftest import ROOT

FOLDER = ROOT / 'configs'
WIDE, GROUPED, NARROW, RIR = (256, 512, 1024, 2048), (128, 256, 512, 1024), (64, 128, 256, 512), (96, 192, 384)
FPN = {'resnet50': WIDE, 'iresnet50': WIDE, 'iresnet101': WIDE, 'iresgroup50': GROUPED, 'cresnet27_a2': NARROW,
       'resnet50_recursive': WIDE, 'rir18_wide': RIR}
C5 = {'resnet18': 512, 'resnet34': 512, 'resnet50': 2048, 'cresnet15_a1': 512, 'cresnet18_a': 512, 'cresnet27_a2': 512,
      'cresnet27_b2': 1024}
SSD = {**{f'{net}{depth}': 1024 for net in ('resnet', 'iresnet') for depth in (50, 101)},
       **{f'{net}{depth}': 512 for net in ('iresgroup', 'iresgroupfix') for depth in (50, 101)},
       'cresnet27_a2': 256, 'resnet50_recursive': 1024, 'rir18_wide': 384}
# config -> its backbone's channels
CHANNELS = {
    **{f'faster_rcnn_{net}_fpn_coco': channels for net, channels in FPN.items()},
    **{f'faster_rcnn_{net}_fpn_2x_coco': WIDE for net in ('resnet50', 'iresnet50')},
    **{f'faster_rcnn_{net}_c5_coco': (channels, ) for net, channels in C5.items()},
    **{f'ssd300_{net}_coco': (channels, ) for net, channels in SSD.items()},
    'ssd512_iresnet50_coco': (1024, ),
    'retinanet_iresnet50_fpn_coco': WIDE,
    'cascade_rcnn_iresnet50_fpn_coco': WIDE,
}
BOXES = {'ssd300': 8732, 'ssd512': 24564}


@pytest.fixture(autouse=True)
def scope() -> None:
    init_default_scope('mmdet')


def loaded(name: str, **changes) -> Config:
    return load_config(FOLDER / f'{name}.py', **changes)


def on_meta(config: Config) -> nn.Module:
    with torch.device('meta'):
        return MODELS.build(config.model).eval()


def strides_of(name: str, maps: int) -> list[int]:
    return [8] if name.startswith('ssd') else [32] if '_c5_' in name else [4, 8, 16, 32][:maps]


def head_of(detector: nn.Module) -> nn.Module:
    """The head whose anchors lie on the maps."""
    return detector.rpn_head if hasattr(detector, 'rpn_head') else detector.bbox_head


def check_maps(name: str, detector: nn.Module, channels: tuple[int, ...], strides: list[int]) -> None:
    """Each map has the backbone's channels or the head's, and as many cells as the head's anchors are for."""
    assert detector.backbone.stem == 'conv7x7'
    info = detector.backbone.feature_info
    assert tuple(info.channels()) == channels and info.reduction() == strides
    size = int(name[3:6]) if name.startswith('ssd') else 256
    image = torch.empty(1, 3, size, size, device='meta')
    for features, channel, stride in zip(detector.backbone(image), channels, strides, strict=True):
        assert features.shape[1:] == (channel, *[math.ceil(size / stride)] * 2)
    maps = detector.extract_feat(image)
    head = head_of(detector)
    outputs = head(maps)
    if name.startswith('ssd'):
        assert sum(box.shape[1] // 4 * box.shape[2] * box.shape[3] for box in outputs[1]) == BOXES[name[:6]]
        cells = [tuple(features.shape[2:]) for features in maps]
        assert sum(map(len, head.prior_generator.grid_priors(cells, device='cpu'))) == BOXES[name[:6]]
        return
    assert [features.shape[2] for features in maps] == [size // stride for stride, _ in head.prior_generator.strides]
    if not hasattr(detector, 'roi_head'):
        return
    for extractor in listed(detector.roi_head.bbox_roi_extractor):
        assert {features.shape[1] for features in maps} == {extractor.out_channels}
        for features, stride in zip(maps, extractor.featmap_strides):
            assert features.shape[2] * stride == size
    for boxes in listed(detector.roi_head.bbox_head):
        assert boxes(torch.empty(5, maps[0].shape[1], 7, 7, device='meta'))[0].shape == (5, 81)


def listed(modules: nn.Module) -> list[nn.Module]:
    """What a cascade has several of, and other detectors one."""
    return list(modules) if isinstance(modules, nn.ModuleList) else [modules]


def test_there_are_these_detectors() -> None:
    assert sorted(path.stem for path in FOLDER.glob('*_coco.py')) == sorted(CHANNELS)


@pytest.mark.parametrize('name', CHANNELS)
def test_maps_and_heads_fit(name: str) -> None:
    detector = on_meta(loaded(name))
    check_maps(name, detector, CHANNELS[name], strides_of(name, len(CHANNELS[name])))
    net = re.fullmatch(r'(?:\w+_rcnn|ssd...|retinanet)_(\w+?)(?:_fpn|_fpn_2x|_c5)?_coco', name)[1]
    kind, named = find_backbone(net)
    assert type(detector.backbone).__name__ == kind.__name__
    assert {key: getattr(detector.backbone, key) for key in named} == named


@pytest.mark.parametrize('kind', ['c5', 'fpn'])
def test_anchors(kind: str) -> None:
    """Areas of 32 to 512 pixels squared, each with three ratios of height to width; one size a map in FPN."""
    anchors = MODELS.build(loaded(f'faster_rcnn_resnet50_{kind}_coco').model.rpn_head).prior_generator.base_anchors
    assert len(anchors) == (1 if kind == 'c5' else 5)
    sizes = torch.cat(anchors)[:, 2:] - torch.cat(anchors)[:, :2]
    found = [(round(math.sqrt(width * height)), round(height / width, 2)) for width, height in sizes.tolist()]
    assert sorted(found) == [(side, ratio) for side in (32, 64, 128, 256, 512) for ratio in (0.5, 1, 2)]


@pytest.mark.parametrize(('name', 'rates'), [
    ('faster_rcnn_iresnet50_fpn_coco', [0.02] * 8 + [0.002] * 3 + [0.0002]),
    ('faster_rcnn_iresnet50_fpn_2x_coco', [0.02] * 16 + [0.002] * 6 + [0.0002] * 2),
    ('faster_rcnn_cresnet27_b2_c5_coco', [0.02] * 16 + [0.002] * 6 + [0.0002] * 4),
])
def test_optimiser_and_the_rate_of_every_epoch(name: str, rates: list[float]) -> None:
    config = loaded(name)
    wrapper = build_optim_wrapper(nn.Linear(1, 1), config.optim_wrapper)
    group, = wrapper.optimizer.param_groups
    assert (group['momentum'], group['weight_decay'], config.auto_scale_lr.base_batch_size) == (0.9, 1e-4, 16)
    warm_up, steps = config.param_scheduler
    if 'c5' in name:
        assert (warm_up.type, warm_up.iters) == ('mmext.FirstEpochWarmUp', 1000)
    else:
        assert (warm_up.type, warm_up.end, warm_up.by_epoch) == ('LinearLR', 500, False)
    scheduler = PARAM_SCHEDULERS.build(dict(steps, optimizer=wrapper))
    found = []
    for _ in range(config.train_cfg.max_epochs):
        found.append(group['lr'])
        wrapper.optimizer.step()
        scheduler.step()
    assert found == pytest.approx(rates)


@pytest.mark.parametrize(('name', 'own'), [
    ('faster_rcnn_resnet50_fpn_coco', 'faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'),
    ('faster_rcnn_iresnet50_fpn_2x_coco', 'faster_rcnn/faster-rcnn_r50_fpn_2x_coco.py'),
    ('retinanet_iresnet50_fpn_coco', 'retinanet/retinanet_r50_fpn_1x_coco.py'),
    ('cascade_rcnn_iresnet50_fpn_coco', 'cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py'),
])
def test_all_but_the_backbone_is_mmdets(name: str, own: str, tmp_path: Path) -> None:
    theirs_file = tmp_path / 'theirs.py'
    theirs_file.write_text(f"_base_ = 'mmdet::{own}'\n")
    ours, theirs = loaded(name), Config.fromfile(theirs_file)
    assert ours.model.pop('backbone') != theirs.model.pop('backbone')
    for key in ('model', 'train_cfg', 'param_scheduler', 'optim_wrapper', 'auto_scale_lr'):
        assert ours[key] == theirs[key], key
    if not name.startswith('faster'):
        assert ours._cfg_dict.to_dict() == theirs._cfg_dict.to_dict()
        return
    for key in ('train_pipeline', 'test_pipeline'):
        assert [dict(backend_args=None, **ours[key][0], _scope_='mmdet'), *(
            dict(step, _scope_='mmdet') for step in ours[key][1:])] == theirs[key]
    for key in ('sampler', 'batch_sampler'):
        assert dict(ours.train_dataloader[key], _scope_='mmdet') == theirs.train_dataloader[key]
    assert ours.train_dataloader.batch_size == theirs.train_dataloader.batch_size


def test_ssd512_sees_512_pixels() -> None:
    config = loaded('ssd512_iresnet50_coco')
    small = loaded('ssd300_iresnet50_coco')
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        for step, before in zip(config[loader].dataset.pipeline, small[loader].dataset.pipeline, strict=True):
            assert step == (dict(before, scale=(512, 512)) if before.type == 'Resize' else before)


@pytest.mark.parametrize('name', CHANNELS)
def test_every_config_takes_another_backbone(name: str) -> None:
    """A network of four stages, or of the stages that the config has."""
    channels = (256, ) if name.startswith('ssd') else (512, ) if '_c5_' in name else (64, 128, 256, 512)
    stages = len(CHANNELS[name])
    channels = channels[:stages]
    check_maps(name, on_meta(loaded(name, backbone='cresnet15_a1')), channels, strides_of(name, stages))


@pytest.mark.parametrize(('name', 'backbone', 'channels', 'strides'), [
    ('faster_rcnn_iresnet50_fpn_coco', 'resnet18_recursive', (64, 128, 256, 512), [4, 8, 16, 32]),
    ('faster_rcnn_resnet50_fpn_2x_coco', 'rir32', (16, 32, 64), [4, 8, 16]),
    ('faster_rcnn_rir18_wide_fpn_coco', 'iresnet34', (64, 128, 256), [4, 8, 16]),
    ('faster_rcnn_cresnet27_b2_c5_coco', 'iresgroup50', (1024, ), [32]),
    ('faster_rcnn_resnet50_c5_coco', 'resnext29_2x64d_recursive', (1024, ), [16]),
    ('faster_rcnn_cresnet15_a1_c5_coco', 'rir_resnet18_wide', (384, ), [16]),
    ('retinanet_iresnet50_fpn_coco', 'cresnet27_b3', (128, 256, 512, 1024), [4, 8, 16, 32]),
    ('retinanet_iresnet50_fpn_coco', 'iresnet164_cifar', (64, 128, 256), [4, 8, 16]),
    ('cascade_rcnn_iresnet50_fpn_coco', 'resgroupfix50', (128, 256, 512, 1024), [4, 8, 16, 32]),
    ('ssd512_iresnet50_coco', 'cresnet18_a', (256, ), [8]),
    ('ssd300_rir18_wide_coco', 'seresnet50', (1024, ), [8]),
    ('ssd300_iresnet50_coco', 'all_cnn_c', (192, ), [8]),
    ('faster_rcnn_resnet50_c5_coco', 'all_cnn_c_init', (192, ), [16]),
    ('faster_rcnn_iresnet50_fpn_coco', 'all_cnn_c', (96, 192, 192), [4, 8, 16]),
])
def test_another_backbone(name: str, backbone: str, channels: tuple[int, ...], strides: list[int]) -> None:
    check_maps(name, on_meta(loaded(name, backbone=backbone)), channels, strides)


def batch(size: int) -> dict:
    """Two images of noise, with one and two boxes."""
    samples = []
    for count in (1, 2):
        corners = torch.tensor([[0.1, 0.2, 0.6, 0.7], [0.4, 0.3, 0.9, 0.9]])[:count] * size
        truth = InstanceData(bboxes=corners, labels=torch.tensor([79, 3])[:count])
        ignored = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
        samples.append(DetDataSample(gt_instances=truth, ignored_instances=ignored, metainfo=dict(
            img_id=count, img_shape=(size, size), ori_shape=(2 * size, 2 * size), scale_factor=(0.5, 0.5))))
    return dict(inputs=[torch.randint(0, 256, (3, size, size), dtype=torch.uint8) for _ in samples],
                data_samples=samples)


def make_small(model: dict) -> None:
    """Few regions an image, and detections whatever their score."""
    training, testing = model['train_cfg'], model['test_cfg']
    testing.get('rcnn', testing)['score_thr'] = 0
    if 'rpn' in testing:
        training['rpn_proposal']['max_per_img'] = testing['rpn']['max_per_img'] = 40
        for stage in training['rcnn'] if isinstance(training['rcnn'], list) else [training['rcnn']]:
            stage['sampler']['num'] = 32


@pytest.mark.parametrize(('name', 'backbone'), [
    *((name, None) for name in CHANNELS),
    ('faster_rcnn_iresnet50_fpn_coco', 'iresnet18'),
    ('faster_rcnn_cresnet27_a2_fpn_coco', 'cresnet15_a1'),
    ('faster_rcnn_resnet18_c5_coco', 'rir32'),
    ('ssd300_cresnet27_a2_coco', 'cresnet15_a1'),
    ('ssd300_iresnet50_coco', 'all_cnn_c'),
    ('cascade_rcnn_iresnet50_fpn_coco', 'iresnet18'),
])
def test_a_step_and_a_prediction(name: str, backbone: str | None) -> None:
    """For real. Norms take their statistics from the one batch there is, and the step is short, as in the warm-up."""
    torch.manual_seed(0)
    size = int(name[3:6]) if name.startswith('ssd') else 64
    config = loaded(name, backbone=backbone, options={
        'optim_wrapper.optimizer.lr': 1e-3, 'model.backbone.norm_cfg': dict(type='BN', momentum=1.0)})
    make_small(config.model)
    detector = MODELS.build(config.model)
    take_step(detector, config, batch(size))
    with torch.no_grad():
        samples = detector.test_step(batch(size))
    for sample in samples:
        found = sample.pred_instances
        assert 0 < len(found) <= 200 and np.all(np.diff(found.scores.numpy()) <= 0)
        assert found.labels.min() >= 0 and found.labels.max() < 80
        assert found.bboxes.min() >= 0 and found.bboxes.max() <= 2 * size  # of the image as it was before Resize


@pytest.mark.parametrize('name', [
    'ssd300_iresnet50_coco', 'retinanet_iresnet50_fpn_coco', 'faster_rcnn_resnet18_c5_coco'])
def test_a_step_in_bf16(name: str) -> None:
    """Of the whole detector, targets and losses included; equal to one in fp32 but for rounding.

    Faster R-CNN draws regions, and rounding changes which.

    RetinaNet's last map has a single cell here, which is where oneDNN leaves gradients unset.
    """
    losses = {}
    for precision in (None, 'bf16'):
        torch.manual_seed(0)
        config = loaded(name, backbone='iresnet18', options={'optim_wrapper.optimizer.lr': 1e-4})
        apply_training_flags(config, amp=precision)
        make_small(config.model)
        detector = MODELS.build(config.model)
        wrapper = build_optim_wrapper(detector, config.optim_wrapper)
        if precision:
            MixedPrecisionHook().before_run(SimpleNamespace(model=detector))
        data = batch(int(name[3:6]) if name.startswith('ssd') else 64)
        losses[precision] = [detector.train_step(data, wrapper)['loss'].item() for _ in range(2)]
        assert all(weight.dtype == torch.float32 and weight.isfinite().all() for weight in detector.parameters())
    assert losses['bf16'] != losses[None]
    assert losses['bf16'] == pytest.approx(losses[None], rel=0.1 if 'rcnn' in name else 0.01)
