"""The message hub holds what the printed means need, and so do checkpoints."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest
from mmengine.logging import HistoryBuffer, MessageHub

from mmext.checkpoints import read_checkpoint
from mmext.engine.hooks import history
from mmext.engine.hooks.history import HistoryHook
from tests.engine.resume.test_exact import RECIPE, cifar, classifier  # noqa: F401  a fixture
from tests.tools.helpers import succeeded


def runner_with(hub: MessageHub, *custom: dict, window: int = 10, epoch: int = 40) -> SimpleNamespace:
    return SimpleNamespace(message_hub=hub, train_dataloader=range(epoch), val_loop=SimpleNamespace(),
                           val_dataloader=range(7),
                           log_processor=SimpleNamespace(window_size=window, custom_cfg=list(custom)))


@pytest.mark.parametrize(('custom', 'options', 'length'), [
    ((), {}, 1000), ((), dict(window=3000), 3000), ((dict(data_src='loss', window_size=2000), ), {}, 2000),
    ((dict(data_src='loss', window_size='epoch'), ), dict(epoch=5000), 5000),
    ((dict(data_src='loss', window_size='global'), ), {}, 6000)])
def test_a_log_is_as_long_as_its_means(custom: tuple, options: dict, length: int):
    hub = MessageHub(f'{custom} {options}')
    hub._log_scalars['train/old'] = HistoryBuffer(list(range(6000)), [1] * 6000)
    runner, hook = runner_with(hub, *custom, **options), HistoryHook()
    hook.before_train(runner)
    for value in range(6000):
        hub.update_scalar('train/loss', float(value))
        hook.after_train_iter(runner)
    for log in hub.log_scalars.values():
        assert [len(part) for part in log.data] == [length, length]
        assert log.mean(10) == 5994.5 and log.current() == 5999 and len(log.data[0]) == length


def test_a_checkpoint_s_logs_are_short(cifar: Path, tmp_path: Path):  # noqa: F811
    with mock.patch.object(history, 'SHORTEST', 5):
        start = classifier(cifar, RECIPE, options=(
            'train_dataloader.num_workers=0', 'train_cfg.max_epochs=2', 'log_processor.custom_cfg.0.window_size=5'))
        succeeded(start(tmp_path / 'w', '--seed', 0))
    hub = read_checkpoint(tmp_path / 'w' / 'epoch_2.pth')['message_hub']
    assert {len(log.data[0]) for name, log in hub['log_scalars'].items() if name.startswith('train/')} == {5}
