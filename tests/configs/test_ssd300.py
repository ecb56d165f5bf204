"""SSD300's recipe is the iResNet paper's (section IV-C): optimiser, schedule, batch, augmentation, test."""

from __future__ import annotations

import math

import pytest
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, PARAM_SCHEDULERS, init_default_scope
from torch import nn

from mmext.engine.config import load_config
from tests.conftest import ROOT

NAMES = sorted(path.stem for path in (ROOT / 'configs').glob('ssd300_*_coco.py'))
every_config = pytest.mark.parametrize('name', NAMES)


@pytest.fixture(autouse=True)
def scope() -> None:
    init_default_scope('mmdet')


def loaded(name: str) -> Config:
    return load_config(ROOT / 'configs' / f'{name}.py')


def test_there_are_the_rows_of_table_viii():
    rows = {f'ssd300_{net}{depth}_coco' for net in ('resnet', 'iresnet', 'iresgroup', 'iresgroupfix')
            for depth in (50, 101)}
    assert rows < set(NAMES)


@every_config
def test_optimiser_batch_and_what_is_decayed(name: str):
    config = loaded(name)
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    groups = build_optim_wrapper(model, config.optim_wrapper).optimizer.param_groups
    assert {(group['lr'], group['momentum'], group['weight_decay'], group['nesterov']) for group in groups} == {
        (0.02, 0.9, 5e-4, False)}
    assert sum(len(group['params']) for group in groups) == 4
    assert config.optim_wrapper.clip_grad is None
    assert config.auto_scale_lr == dict(enable=False, base_batch_size=256)
    assert config.train_dataloader.batch_size * 8 == 256
    assert config.train_cfg.max_epochs == 130


@every_config
def test_the_rate_of_every_update(name: str):
    """A warm-up over the first epoch, then 0.02, and a tenth from epochs 86 and 108 on, counted from 0."""
    config, batches = loaded(name), 5
    wrapper = build_optim_wrapper(nn.Linear(1, 1), config.optim_wrapper)
    warm_up, steps = config.param_scheduler
    cls = PARAM_SCHEDULERS.get(warm_up.pop('type'))
    assert warm_up.pop('convert_to_iter_based') and warm_up.by_epoch
    schedulers = [cls.build_iter_from_epoch(wrapper, **warm_up, epoch_length=batches),
                  PARAM_SCHEDULERS.build(dict(steps, optimizer=wrapper))]
    rates = []
    for _ in range(config.train_cfg.max_epochs):
        for _ in range(batches):  # as mmengine's ParamSchedulerHook: after each batch, and after each epoch
            rates.append(wrapper.optimizer.param_groups[0]['lr'])
            wrapper.optimizer.step()
            schedulers[0].step()
        schedulers[1].step()
    first = rates[:batches]
    assert first[0] == pytest.approx(2e-5)
    assert [after - before for before, after in zip(first, first[1:])] == pytest.approx(
        [0.02 * 0.999 / (batches - 1)] * (batches - 1))
    whole = [rates[batches * epoch] for epoch in range(1, 130)]
    assert whole == pytest.approx([0.02] * 85 + [0.002] * 22 + [0.0002] * 22)


@every_config
def test_augmentation_and_sizes(name: str):
    """SSD's crop, the flip and the jitter of colours; no other change of an image, and none in tests."""
    config = loaded(name)
    steps = {loader: [(step.type.rpartition('.')[2], step) for step in config[f'{loader}_dataloader'].dataset.pipeline]
             for loader in ('train', 'val', 'test')}
    assert [kind for kind, _ in steps['train']] == [
        'LoadImageFromFile', 'LoadAnnotations', 'MinIoURandomCrop', 'Resize', 'RandomFlip', 'PhotoMetricDistortion',
        'PackDetInputs']
    train = dict(steps['train'])
    assert train['MinIoURandomCrop'].min_ious == (0.1, 0.3, 0.5, 0.7, 0.9) and train['RandomFlip'].prob == 0.5
    for loader in ('val', 'test'):
        assert [kind for kind, _ in steps[loader]] == [
            'LoadImageFromFile', 'Resize', 'LoadAnnotations', 'PackDetInputs']
    for loader in steps:
        assert (dict(steps[loader])['Resize'].scale, dict(steps[loader])['Resize'].keep_ratio) == ((300, 300), False)


def test_priors():
    """4, 6, 6, 6, 4, 4 a cell; sides of 21 to 315 pixels, and between each two their geometric mean."""
    generator = MODELS.build(loaded('ssd300_iresnet50_coco').model.bbox_head).prior_generator
    assert generator.num_base_priors == [4, 6, 6, 6, 4, 4]
    sides = [21, 45, 99, 153, 207, 261, 315]
    for anchors, least, next_one in zip(generator.base_anchors, sides, sides[1:]):
        found = (anchors[:, 2:] - anchors[:, :2]).tolist()
        squares = sorted(width for width, height in found if width == pytest.approx(height))
        assert squares == pytest.approx([least, math.sqrt(least * next_one)], abs=0.01)
        assert all(width * height == pytest.approx(least ** 2, rel=1e-3) for width, height in found
                   if width != pytest.approx(height))
