"""The recognizers' configs are what the paper prints: network, clips, augmentation, optimiser, schedule."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from mmaction.structures import ActionDataSample
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, PARAM_SCHEDULERS, init_default_scope
from torch import nn

from mmext.analysis import complexity, published
from mmext.analysis.subjects import from_config
from mmext.engine.config import load_config
from mmext.errors import UserError
from mmext.video.views import set_views
from tests.configs.learning import take_step
from tests.conftest import ROOT
from tests.video.clips import write

FOLDER = ROOT / 'configs'
NETS = {'resnet3d50': 2048, 'iresnet3d50': 2048, 'iresgroup3d50': 1024, 'cresnet3d18_a': 512, 'recursive3d50': 2048,
        'rir3d18_wide': 384}
CLASSES = {'kinetics400': 400, 'sthv2': 174}
NAMES = [f'{net}_{data}' for net in NETS for data in CLASSES] + ['resnet3d50_kinetics400_frames',
                                                                 'iresnet3d50_kinetics400_frames']


@pytest.fixture(autouse=True)
def scope() -> None:
    init_default_scope('mmaction')


def loaded(name: str, **changes) -> Config:
    return load_config(FOLDER / f'{name}.py', **changes)


def test_there_are_these_recognizers() -> None:
    assert sorted(path.stem for path in FOLDER.glob('*3d*_*.py')) == sorted(NAMES)


@pytest.mark.parametrize('name', NAMES)
def test_network_and_its_size(name: str) -> None:
    """The four rows of Table V to the printed digit; the others read as many channels as their network gives."""
    net, data = name.split('_kinetics400')[0].split('_sthv2')[0], 'sthv2' if 'sthv2' in name else 'kinetics400'
    subject = from_config(FOLDER / f'{name}.py')
    assert subject.shape == (1, 3, 16, 224, 224)
    assert subject.model.cls_head.fc_cls.weight.shape == (CLASSES[data], NETS[net])
    rows = [row for row in published.rows() if row['task'] == 'recognizer3d' and row['num_classes'] == CLASSES[data]
            and f'{row["name"]}'.replace('net50', 'net3d50') == net]
    assert len(rows) == net.endswith('resnet3d50')
    for row in rows:
        counted = complexity.count(subject.model, subject.shape, row['flops'], subject.forward)
        assert (round(counted.params / 1e6, 2), round(counted.flops / 1e9, 2)) == (row['params_M'], row['gflops'])


@pytest.mark.parametrize('name', NAMES)
def test_optimiser_and_the_rate_of_every_epoch(name: str) -> None:
    config = loaded(name)
    wrapper = build_optim_wrapper(nn.Linear(1, 1), config.optim_wrapper)
    group, = wrapper.optimizer.param_groups
    assert (group['momentum'], group['weight_decay'], group['nesterov']) == (0.9, 1e-4, False)
    scheduler = PARAM_SCHEDULERS.build(dict(config.param_scheduler[0], optimizer=wrapper))
    rates = []
    for _ in range(config.train_cfg.max_epochs):
        rates.append(group['lr'])
        wrapper.optimizer.step()
        scheduler.step()
    assert rates == pytest.approx([0.1] * 30 + [0.01] * 30 + [0.001] * 20 + [0.0001] * 10)
    assert config.auto_scale_lr == dict(enable=False, base_batch_size=64)
    assert config.train_dataloader.batch_size * 8 == 64
    assert (config.model.cls_head.dropout_ratio, config.optim_wrapper.get('clip_grad')) == (0, None)


@pytest.mark.parametrize(('data', 'sampler'), [('kinetics400', 'SampleFrames'), ('sthv2', 'UniformSample')])
def test_the_way_of_a_video(data: str, sampler: str, tmp_path: Path) -> None:
    """Training: 16 frames, a random scale and crop; a flip, but never where left and right matter."""
    video = str(write(tmp_path / 'a.mp4', frames=50, size=(96, 64)))
    config = loaded(f'iresnet3d50_{data}')
    for split, clips, side in (('train', 1, 224), ('val', 1, 224), ('test', *((30, 256) if data == 'kinetics400'
                                                                              else (1, 224)))):
        pipeline = config[f'{split}_dataloader'].dataset.pipeline
        kinds = [step['type'] for step in pipeline]
        assert sampler in kinds and ('Flip' in kinds) == (split == 'train' and data == 'kinetics400')
        sample = Compose(pipeline)(dict(filename=video, label=3, modality='RGB', start_index=0))
        assert sample['inputs'].shape == (clips, 3, 16, side, side) and sample['inputs'].dtype == torch.uint8
        assert sample['data_samples'].filename == video and int(sample['data_samples'].gt_label) == 3


@pytest.mark.parametrize('name', ['resnet3d50_kinetics400', 'resnet3d50_kinetics400_frames', 'resnet3d50_sthv2'])
def test_augmentation_is_that_of_nonlocal_networks(name: str) -> None:
    """Short side 256 to 320, then 224 x 224 from anywhere."""
    steps = [step for step in loaded(name).train_dataloader.dataset.pipeline
             if step['type'] in ('Resize', 'RandomRescale', 'RandomCrop', 'MultiScaleCrop', 'Flip')]
    assert [step['type'] for step in steps] == ['RandomRescale', 'RandomCrop', 'Flip'][:2 if 'sthv2' in name else 3]
    augment, sides, images = Compose(steps), set(), []
    ramp = np.tile(np.linspace(0, 255, 400, dtype=np.uint8)[None, :, None], (300, 1, 3))
    for _ in range(40):
        given = augment(dict(imgs=[ramp, ramp], img_shape=(300, 400), modality='RGB'))
        sides.add(given['short_edge'])
        images.append(given['imgs'][0])
        assert images[-1].shape == (224, 224, 3) and np.array_equal(*given['imgs'])
    assert min(sides) >= 256 and max(sides) <= 320 and len(sides) > 15
    assert len({int(image.mean()) for image in images}) > 15
    assert any(image[0, 0, 0] > image[0, -1, 0] for image in images) == ('sthv2' not in name)


def test_dense_and_uniform_sampling() -> None:
    init_default_scope('mmaction')
    dense, uniform = (Compose(loaded(f'iresnet3d50_{data}').train_dataloader.dataset.pipeline[1:2]) for data in CLASSES)
    for _ in range(20):
        given = dict(total_frames=300, start_index=0, avg_fps=30)
        frames = dense(dict(given))['frame_inds'].reshape(-1)
        assert set(np.diff(frames).tolist()) == {4} and frames[-1] < 300
        frames = uniform(dict(given))['frame_inds']
        assert len(frames) == 16 and all(i * 299 / 16 - 1 <= frame <= (i + 1) * 299 / 16 + 1
                                         for i, frame in enumerate(frames))


@pytest.mark.parametrize(('views', 'clips', 'step'), [('10x3', 10, dict(type='ThreeCrop', crop_size=256)),
                                                      ('1x1', 1, dict(type='CenterCrop', crop_size=224)),
                                                      ('4x1', 4, dict(type='CenterCrop', crop_size=224))])
@pytest.mark.parametrize('data', CLASSES)
def test_the_standard_protocols(views: str, clips: int, step: dict, data: str) -> None:
    config = loaded(f'resnet3d50_{data}')
    kept = config.val_dataloader.dataset.pipeline[1].num_clips
    set_views(config, views)
    pipeline = config.test_dataloader.dataset.pipeline
    assert pipeline[1].num_clips == clips and [dict(other) for other in pipeline if 'Crop' in other['type']] == [step]
    assert config.val_dataloader.dataset.pipeline[1].num_clips == kept == 1


@pytest.mark.parametrize(('views', 'says'), [('10', 'need clips x crops'), ('10x2', 'there are 1 crop and 3'),
                                             ('0x3', 'need clips x crops'), ('axb', '--views axb')])
def test_views_that_there_are_not(views: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        set_views(loaded('resnet3d50_kinetics400'), views)
    with pytest.raises(UserError, match='--views: needs a config'):
        set_views(load_config(FOLDER / 'ssd300_iresnet50_coco.py'), '1x1')


@pytest.mark.parametrize(('backbone', 'kind', 'channels'), [
    ('iresnet18', 'IResNet3d', 512), ('resnet50_recursive', 'RecursiveResNet3d', 2048), ('rir32', 'RiR3d', 64),
    ('cresnet27_b2', 'CResNet3d', 1024), ('resgroupfix50', 'ResGroupFix3d', 1024)])
def test_another_backbone_takes_clips_too(backbone: str, kind: str, channels: int) -> None:
    config = loaded('iresnet3d50_kinetics400', backbone=backbone)
    assert config.model.backbone.type == f'mmext.{kind}' and config.model.cls_head.in_channels == channels
    with torch.device('meta'):
        model = MODELS.build(dict(config.model, data_preprocessor=None))
    assert model.backbone.stem == 'conv7x7'
    clips = torch.empty(2, 3, 3, 8, 64, 64, device='meta')
    assert model.eval()(clips, mode='tensor', stage='head').shape == (6, 400)


@pytest.mark.parametrize(('name', 'backbone'), [
    *((name, None) for name in NAMES), ('iresnet3d50_sthv2', 'iresnet18'),
    ('recursive3d50_kinetics400', 'resnet18_recursive')])
def test_a_step_and_a_prediction(name: str, backbone: str | None) -> None:
    """For real, on small clips."""
    torch.manual_seed(0)
    config = loaded(name, backbone=backbone)
    model = MODELS.build(config.model)
    samples = [ActionDataSample().set_gt_label(label) for label in (0, 7)]
    clips = [torch.randint(0, 256, (1, 3, 4, 32, 32), dtype=torch.uint8) for _ in samples]
    take_step(model, config, dict(inputs=clips, data_samples=samples))
    views = [torch.cat([clip] * 3) for clip in clips]
    scores = torch.stack([sample.pred_score for sample in model.test_step(dict(inputs=views, data_samples=samples))])
    assert scores.shape == (2, CLASSES['sthv2' if 'sthv2' in name else 'kinetics400'])
    torch.testing.assert_close(scores.sum(1), torch.ones(2))
