"""Hooks by themselves."""

from __future__ import annotations

import pytest
from mmengine.config import Config

from mmext.engine import cli
from mmext.engine.config import SAFETY, make_safe
from mmext.engine.flags.flag import with_defaults
from mmext.engine.flags.shared import SHARED
from mmext.engine.flags.training import apply_training_flags
from tests.conftest import ROOT


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
    given = with_defaults(SHARED, {})
    given.config = ROOT / 'configs' / 'retinanet_iresnet50_fpn_coco.py'
    config = cli.config_from(given)
    apply_training_flags(config, ema=0.1)
    assert [hook.type for hook in config.custom_hooks] == [*SAFETY, 'mmext.MemoryFormatHook', 'mmext.EMAHook']


def test_ours_are_those_of_the_configs():
    config = Config.fromfile(ROOT / 'configs' / '_base_' / 'default_runtime.py')
    assert [hook.type for hook in config.custom_hooks] == list(SAFETY)
