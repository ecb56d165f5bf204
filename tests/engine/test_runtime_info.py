"""Losses that wait on a GPU are logged, and kept in checkpoints, as if they had been read at once."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import torch

from mmext.checkpoints import read_checkpoint
from mmext.engine import runtime_info
from mmext.engine.log import read_scalars
from mmext.engine.runtime_info import RuntimeInfoHook
from tests.engine.resume.helpers import told_apart
from tests.engine.resume.test_exact import RECIPE, assert_exact, cifar, classifier  # noqa: F401  a fixture
from tests.tools.helpers import succeeded

OPTIONS = ('train_dataloader.num_workers=0', 'train_cfg.max_epochs=2', 'default_hooks.logger.interval=3')


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Losses seem to be on a GPU; the list gets, for each time that they are copied, the number of iterations."""
    found: list[int] = []
    record = RuntimeInfoHook.record

    def counted(self: RuntimeInfoHook, runner) -> None:
        if self.waiting:
            found.append(len(self.waiting))
        record(self, runner)

    monkeypatch.setattr(runtime_info, 'is_on_gpu', lambda value: isinstance(value, torch.Tensor))
    monkeypatch.setattr(RuntimeInfoHook, 'record', counted)
    return found


def scalars(folder: Path) -> list[dict]:
    """What the log has, but for times."""
    return [{key: value for key, value in record.items() if 'time' not in key and key != 'memory'}
            for record in read_scalars(folder)]


def test_the_log_and_the_checkpoints_are_the_same(cifar: Path, tmp_path: Path,  # noqa: F811
                                                  request: pytest.FixtureRequest):
    start = classifier(cifar, RECIPE, '--seed', 0, options=OPTIONS)
    succeeded(start(tmp_path / 'at once'))
    copies = request.getfixturevalue('copies')
    succeeded(start(tmp_path / 'later'))
    assert copies == [3, 3, 2] * 2, 'an epoch has 8 iterations, and its last one is at its end'
    assert scalars(tmp_path / 'at once') == scalars(tmp_path / 'later')
    for name in ('epoch_1.pth', 'epoch_2.pth'):
        assert told_apart(*(read_checkpoint(tmp_path / run / name) for run in ('at once', 'later'))) == []


def test_a_training_is_stopped_while_losses_wait(copies: list[int], cifar: Path, tmp_path: Path):  # noqa: F811
    assert_exact(classifier(cifar, RECIPE, options=OPTIONS), tmp_path, 5, 'epoch_2.pth', signal.SIGTERM)
    assert 2 in copies
