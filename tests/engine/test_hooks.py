"""Hooks by themselves."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.structures import BaseDataElement

from mmext.engine import cli
from mmext.engine.config import SAFETY, make_safe
from mmext.engine.hooks import FiniteLossHook
from mmext.engine.training import apply_training_flags
from mmext.errors import UserError
from tests.conftest import ROOT


def batch(*names: str) -> dict:
    return {'data_samples': [BaseDataElement(metainfo=dict(img_path=name)) for name in names]}


def feed(hook: FiniteLossHook, losses: list[float], work_dir: str = 'work', last: str | None = None) -> None:
    hub = SimpleNamespace(get_info=dict(last_ckpt=last).get)
    for iteration, loss in enumerate(losses):
        runner = SimpleNamespace(iter=iteration, work_dir=work_dir, message_hub=hub)
        outputs = dict(loss=torch.tensor(loss + 1), loss_cls=torch.tensor(loss), grad_norm=torch.tensor(float('inf')))
        hook.after_train_iter(runner, iteration, batch(f'{iteration}a.jpg', f'{iteration}b.jpg'), outputs)


@pytest.mark.parametrize(('given', 'kept'), [
    ({}, ['EpochSeedHook', 'FiniteLossHook', 'UnreadableFilesHook', 'ProgressHook']),
    (dict(custom_hooks=[]), []), (dict(custom_hooks=[dict(type='mmext.ProgressHook')]), ['ProgressHook'])])
def test_a_config_that_names_no_hooks_gets_ours(given: dict, kept: list[str]):
    config = Config(given)
    make_safe(config)
    assert [hook.type for hook in config.custom_hooks] == [f'mmext.{name}' for name in kept]


@pytest.mark.parametrize('given', [{}, dict(train_dataloader=None), dict(train_dataloader=dict(worker_init_fn=1))])
def test_what_says_how_workers_are_seeded_is_kept(given: dict):
    config = Config(given)
    make_safe(config)
    assert config.get('train_dataloader') == given.get('train_dataloader')


def test_flags_add_to_them():
    config = cli.config_from(Namespace(config=ROOT / 'configs' / 'retinanet_iresnet50_fpn_coco.py', local_rank=0,
                                       data_root=None, classes=None, backbone=None, cfg_options=None,
                                       memory_format='auto'))
    apply_training_flags(config, ema=0.1)
    assert [hook.type for hook in config.custom_hooks] == [*SAFETY, 'mmext.MemoryFormatHook', 'mmext.EMAHook']


def test_ours_are_those_of_the_configs():
    config = Config.fromfile(ROOT / 'configs' / '_base_' / 'default_runtime.py')
    assert [hook.type for hook in config.custom_hooks] == list(SAFETY)


def test_finite_losses_pass():
    feed(FiniteLossHook(interval=2), [1.0, 2.0, 3.0])


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_the_first_bad_iteration_is_named(value: float):
    with pytest.raises(UserError) as caught:
        feed(FiniteLossHook(interval=4), [1.0, value, value, 1.0])
    line = str(caught.value)
    assert 'iteration 2' in line and f'loss_cls is {value}' in line and '1a.jpg, 1b.jpg' in line
    assert '0a.jpg' not in line and 'grad_norm' not in line


def test_a_checkpoint_from_before_is_named_where_there_is_one(tmp_path: Path):
    for last, says in ((None, 'stopped; try'), ('epoch_1.pth', 'stopped; try')):
        with pytest.raises(UserError, match=says):
            feed(FiniteLossHook(interval=1), [float('nan')], str(tmp_path), last)
    (tmp_path / 'last_checkpoint').write_text(f'{tmp_path}/epoch_1.pth')
    with pytest.raises(UserError, match='stopped; try'):  # an earlier run's
        feed(FiniteLossHook(interval=1), [float('nan')], str(tmp_path))
    with pytest.raises(UserError, match=r'the last checkpoint, .*/epoch_1.pth, is from before'):
        feed(FiniteLossHook(interval=1), [float('nan')], str(tmp_path), 'epoch_2.pth')


def test_it_looks_before_a_checkpoint_is_written():
    hook = FiniteLossHook(interval=100)
    feed(hook, [1.0, float('nan')])
    with pytest.raises(UserError, match='iteration 2'):
        hook.before_save_checkpoint(SimpleNamespace(work_dir='', message_hub=SimpleNamespace(get_info={}.get)), {})
