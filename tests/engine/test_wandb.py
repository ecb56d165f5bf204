"""``--wandb``: the logs reach Weights & Biases, which a stand-in replaces where it is not installed."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest

from tests.conftest import error_line
from tests.engine.resume.test_exact import RECIPE, cifar, classifier  # noqa: F401  a fixture
from tests.tools.helpers import succeeded

FEW = ('train_dataloader.num_workers=0', 'train_cfg.max_epochs=1')


class Error(Exception):
    """As wandb.Error."""


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> mock.Mock:
    """A stand-in for the package."""
    package = mock.Mock(Error=Error, __spec__=SimpleNamespace(name='wandb'), run=mock.Mock(id='abc123'))
    monkeypatch.setitem(sys.modules, 'wandb', package)
    return package


def test_what_is_sent(wandb: mock.Mock, cifar: Path, tmp_path: Path):  # noqa: F811
    succeeded(classifier(cifar, RECIPE, '--seed', 0, '--val-loss', '--wandb', 'mine', '--tensorboard', options=FEW)(
        tmp_path / 'run'))
    started = wandb.init.call_args.kwargs
    assert (started['project'], started['name']) == ('mine', 'run')
    assert Path(started['dir']).parents[1] == tmp_path / 'run'
    assert wandb.config.update.call_args.args[0]['train_cfg']['max_epochs'] == 1
    sent = [call.args[0] for call in wandb.log.call_args_list]
    assert sum('loss' in scalars for scalars in sent) == 8
    assert sum('accuracy/top1' in scalars and 'val_loss' in scalars for scalars in sent) == 1
    assert list((tmp_path / 'run').glob('*/vis_data/events.*')), 'TensorBoard has it too'


def test_a_resumed_training_goes_on_with_its_run(wandb: mock.Mock, cifar: Path, tmp_path: Path):  # noqa: F811
    succeeded(classifier(cifar, RECIPE, '--wandb', options=FEW)(tmp_path / 'run'))
    assert not {'id', 'resume'} & {*wandb.init.call_args.kwargs}
    more = (*FEW[:1], 'train_cfg.max_epochs=2')
    succeeded(classifier(cifar, RECIPE, '--wandb', options=more)(tmp_path / 'run', '--resume', '--resume-anyway'))
    started = wandb.init.call_args.kwargs
    assert (started['id'], started['resume']) == ('abc123', 'allow')
    wandb.run.id = 'def456'
    succeeded(classifier(cifar, RECIPE, '--wandb', options=FEW)(tmp_path / 'run', '--overwrite'))
    assert 'id' not in wandb.init.call_args.kwargs and (tmp_path / 'run' / 'wandb_run').read_text() == 'def456\n'


def test_a_start_that_fails_is_one_line(wandb: mock.Mock, cifar: Path, tmp_path: Path):  # noqa: F811
    wandb.init.side_effect = Error('No API key configured. Use `wandb login` to log in.')
    line = error_line(classifier(cifar, RECIPE, '--wandb', options=FEW)(tmp_path))
    assert line == ('error: --wandb: No API key configured. Use `wandb login` to log in; set WANDB_MODE=offline in the '
                    "environment to log without Weights & Biases' servers")


@pytest.mark.skipif(importlib.util.find_spec('wandb') is None, reason='wandb is not installed')
def test_the_package_itself(cifar: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # noqa: F811
    monkeypatch.setenv('WANDB_MODE', 'offline')
    succeeded(classifier(cifar, RECIPE, '--wandb', options=FEW)(tmp_path))
    assert list(tmp_path.glob('*/vis_data/wandb/offline-run-*/run-*.wandb'))
