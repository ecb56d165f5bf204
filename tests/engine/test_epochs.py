"""``--epochs``: the schedule is that of the recipe, scaled."""

from __future__ import annotations

import copy

import pytest
from mmengine.config import Config

from mmext.engine.config import make_safe, read_config
from mmext.engine.flags.training import apply_training_flags
from mmext.engine.summary import scaled_schedule
from mmext.errors import UserError
from tests.conftest import CONFIG, ROOT


def scaled(path: str, epochs: int, options: dict | None = None, **changes: object) -> Config:
    config = read_config(ROOT / path)
    config.merge_from_dict(changes)
    make_safe(config)
    apply_training_flags(config, epochs=epochs, cfg_options=options)
    return config


def test_ssd300_for_ten_epochs():
    config = scaled(CONFIG, 10)
    warm_up, steps = config.param_scheduler
    assert (warm_up.begin, warm_up.end) == (0, 1), 'an epoch at least'
    assert (steps.begin, steps.end, steps.milestones, steps.gamma) == (0, 10, [7, 8], 0.1)
    assert (config.train_cfg.max_epochs, config.train_cfg.val_interval) == (10, 1)
    assert config.default_hooks.checkpoint.interval == 1
    assert scaled_schedule(config) == [
        'schedule scaled from 130 epochs to 10: param_scheduler.1.end 130 -> 10, param_scheduler.1.milestones '
        '[86, 108] -> [7, 8], train_cfg.val_interval 5 -> 1']


@pytest.mark.parametrize('path, epochs, place, expected', [
    ('configs/faster_rcnn_iresnet50_fpn_coco.py', 24, 1, dict(begin=0, end=24, milestones=[16, 22])),  # mmdet's 2x
    ('configs/faster_rcnn_iresnet50_fpn_coco.py', 24, 0, dict(begin=0, end=500, by_epoch=False)),  # a warm-up
    ('configs/classification/iresnet_cifar10.py', 82, 0, dict(end=401)),
    ('configs/classification/iresnet_cifar10.py', 82, 1, dict(end=82, milestones=[41, 62])),
    ('configs/classification/recursive_cifar10.py', 50, 0, dict(end=50, T_max=50)),
    ('configs/classification/recursive_imagenet.py', 45, 0, dict(end=45, step_size=15)),
    ('configs/demo/iresnet3d18_motion.py', 2, 0, dict(end=60)),
    ('configs/demo/iresnet3d18_motion.py', 2, 1, dict(end=2)),
    ('configs/faster_rcnn_cresnet27_a2_c5_coco.py', 13, 0, dict(iters=1000))])
def test_schedules_of_all_kinds(path: str, epochs: int, place: int, expected: dict):
    schedule = scaled(path, epochs).param_scheduler[place]
    assert {key: schedule[key] for key in expected} == expected


@pytest.mark.parametrize('schedule, expected', [
    (dict(type='ExponentialLR', gamma=0.25), dict(gamma=0.5)),
    (dict(type='CosineAnnealingLR', begin=5, end=100, T_max=95), dict(begin=10, end=200, T_max=190)),
    (dict(type='CosineAnnealingLR', by_epoch=False, begin=500, end=1000, T_max=500),
     dict(begin=500, end=2000, T_max=1500)),
    (dict(type='CosineRestartLR', periods=[50, 50]), dict(periods=[100, 100])),
    (dict(type='ReduceOnPlateauLR', monitor='loss', patience=5, end=100), dict(patience=5, end=100))])
def test_a_training_of_twice_the_length(schedule: dict, expected: dict):
    config = scaled(CONFIG, 200, **{'param_scheduler': [schedule], 'train_cfg.max_epochs': 100})
    assert {key: config.param_scheduler[0][key] for key in expected} == expected
    assert config.train_cfg.val_interval == 5, 'never longer'


def test_what_options_set_is_taken_as_given():
    config = scaled(CONFIG, 10, {'param_scheduler.1.milestones': [7, 9], 'train_cfg.val_interval': 5},
                    **{'train_cfg.val_interval': 5, 'param_scheduler.1.milestones': [7, 9]})
    assert config.param_scheduler[1].milestones == [7, 9] and config.param_scheduler[1].end == 10
    assert config.train_cfg.val_interval == 5


def test_the_same_number_changes_nothing():
    config = read_config(ROOT / CONFIG)
    make_safe(config)
    before = copy.deepcopy(config.to_dict())
    apply_training_flags(config, epochs=130)
    assert {key: value for key, value in config.to_dict().items() if key != 'epochs'} == before
    assert scaled_schedule(config) == ['schedule scaled from 130 epochs to 130: nothing else to scale']
    assert scaled_schedule(read_config(ROOT / CONFIG)) == []


@pytest.mark.parametrize('epochs, options, changes, says', [
    (0, None, {}, '--epochs 0: need at least 1'),
    (5, {'train_cfg.max_epochs': 3}, {}, 'train_cfg.max_epochs sets the number of epochs too'),
    (5, None, {'train_cfg': dict(_delete_=True, type='IterBasedTrainLoop', max_iters=90)},
     'counts iterations; give --cfg-options train_cfg.max_iters=N, which is 90')])
def test_what_cannot_be_scaled(epochs: int, options: dict | None, changes: dict, says: str):
    with pytest.raises(UserError, match=says):
        scaled(CONFIG, epochs, options, **changes)
