"""How a training stops, saves on its way, and makes up for a validation that was cut; what it tells when it goes on."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest
import torch
from mmengine.runner import ValLoop

from mmext.checkpoints import read_checkpoint
from mmext.classification.metric import Accuracy
from mmext.engine.resume.changes import differences, parse_config, settings
from mmext.engine.resume.interrupts import Signals, parse_interval
from mmext.errors import Interrupted
from tests.backbones.helpers import user_error
from tests.conftest import error_line
from tests.engine.resume.helpers import stopped_after, told_apart
from tests.engine.resume.test_exact import RECIPE, cifar, classifier  # noqa: F401  a fixture
from tests.tools.helpers import here, succeeded

STOPPING = f"""
_base_ = {str(RECIPE)!r}
custom_hooks = [dict(type='EarlyStoppingHook', monitor='accuracy/top1', patience=2, min_delta=2, rule='greater'),
                dict(type='mmext.EpochSeedHook')]
"""


@pytest.fixture
def train(cifar: Path) -> Callable:  # noqa: F811
    """train(work_dir, epochs, flags): eight iterations an epoch."""
    def start(work_dir: Path, epochs: int, *flags: object, options: tuple = (), config: Path = RECIPE) -> object:
        return classifier(cifar, config, *flags, options=(f'train_cfg.max_epochs={epochs}', *options))(work_dir)
    return start


def metrics(work_dir: Path) -> list[float]:
    """Of all validations."""
    lines = [json.loads(line) for path in sorted(work_dir.glob('*/vis_data/scalars.json'))
             for line in path.read_text().splitlines()]
    return [line['accuracy/top1'] for line in lines if 'accuracy/top1' in line]


class Killed(BaseException):
    """A kill, at the moment it comes."""


@pytest.mark.parametrize('how', ['killed', 'signal', 'signal and no checkpoint there'])
def test_a_validation_that_was_cut_is_run(how: str, train: Callable, tmp_path: Path):
    flags = ('--seed', 0, '--ema', 0.3)
    options = ('default_hooks.checkpoint.interval=5', ) if 'no checkpoint' in how else ()
    succeeded(train(tmp_path / 'whole', 2, *flags, options=options))
    run_iter = ValLoop.run_iter
    calls = []

    def cut(loop: ValLoop, *args: object) -> None:
        calls.append(None)
        if len(calls) == 1 and how != 'killed':
            os.kill(os.getpid(), signal.SIGTERM)
        run_iter(loop, *args)
        if len(calls) == 1 and how == 'killed':
            raise Killed

    with mock.patch.object(ValLoop, 'run_iter', cut):
        if how == 'killed':
            with pytest.raises(Killed):
                train(tmp_path / 'cut', 2, *flags, options=options)
        else:
            done = train(tmp_path / 'cut', 2, *flags, options=options)
            assert done.returncode == 75 and 'stopped by SIGTERM after iteration 8: ' in done.stderr
    assert not list((tmp_path / 'cut').glob('best_*')) and not metrics(tmp_path / 'cut')
    succeeded(train(tmp_path / 'cut', 2, '--ema', 0.3, '--resume', options=options))
    assert metrics(tmp_path / 'cut') == metrics(tmp_path / 'whole') and len(metrics(tmp_path / 'cut')) == 2
    assert [path.name for path in (tmp_path / 'cut').glob('best_*')] == [
        path.name for path in (tmp_path / 'whole').glob('best_*')]
    once, twice = (read_checkpoint(tmp_path / name / 'epoch_2.pth') for name in ('whole', 'cut'))
    assert told_apart(once, twice) == []


def test_early_stopping_counts_on(train: Callable, tmp_path: Path):
    """Nothing is ever better by two: the first validation sets the best score, the third ends it."""
    (tmp_path / 'config.py').write_text(STOPPING)
    succeeded(train(tmp_path / 'whole', 9, '--seed', 0, config=tmp_path / 'config.py'))
    with stopped_after(18):
        assert train(tmp_path / 'w', 9, '--seed', 0, config=tmp_path / 'config.py').returncode == 75
    told = succeeded(train(tmp_path / 'w', 9, '--resume', config=tmp_path / 'config.py'))
    assert 'did not improve in the last 2 records' in told
    once, twice = (read_checkpoint(tmp_path / name / 'epoch_3.pth') for name in ('whole', 'w'))
    assert told_apart(once, twice) == [] and not (tmp_path / 'w' / 'epoch_4.pth').exists()
    told = succeeded(train(tmp_path / 'w', 9, '--resume', config=tmp_path / 'config.py'))
    assert told.count('\n') == 1 and 'early stopping ended this training after epoch 3, iteration 24' in told


def test_patience_survives_an_interruption(train: Callable, tmp_path: Path):
    """An equal value is not better: the first validation sets the best score, the third ends the training."""
    flags = ('--early-stop', 2)
    with stopped_after(18), mock.patch.object(Accuracy, 'shares', lambda self, found: dict(top1=0.5, top5=1.)):
        assert train(tmp_path / 'w', 9, '--seed', 0, *flags).returncode == 75
        told = succeeded(train(tmp_path / 'w', 9, '--resume', *flags))
    assert 'did not improve in the last 2 records' in told and len(metrics(tmp_path / 'w')) == 3
    assert (tmp_path / 'w' / 'epoch_3.pth').is_file() and not (tmp_path / 'w' / 'epoch_4.pth').exists()


def test_a_finished_training_is_told_in_one_line(train: Callable, tmp_path: Path):
    succeeded(train(tmp_path / 'w', 1, '--seed', 0))
    before = (tmp_path / 'w' / 'epoch_1.pth').stat().st_mtime_ns
    told = succeeded(train(tmp_path / 'w', 1, '--resume'))
    assert told.count('\n') == 1 and 'epoch_1.pth: this training is finished: 1 of 1 epochs are done' in told
    assert (tmp_path / 'w' / 'epoch_1.pth').stat().st_mtime_ns == before
    told = succeeded(train(tmp_path / 'w', 2, '--resume'))
    assert 'train_cfg.max_epochs is 2, in the checkpoint 1' in told and (tmp_path / 'w' / 'epoch_2.pth').is_file()


CHANGES = {
    'optim_wrapper.optimizer.lr is 0.05, in the checkpoint 0.02': ('optim_wrapper.optimizer.lr=0.05', ),
    'optim_wrapper.optimizer.type is ': ('optim_wrapper.optimizer.type=AdamW', ),
    "param_scheduler is [], in the checkpoint ['MultiStepLR']": ('param_scheduler=[]', ),
    'param_scheduler.0.gamma is 0.5, in the checkpoint 0.1': ('param_scheduler.0.gamma=0.5', ),
    'train_dataloader.batch_size is 20, in the checkpoint 10': ('train_dataloader.batch_size=20', ),
    'train_dataloader.sampler.type is ': ('train_dataloader.sampler.type=InfiniteSampler', ),
    'the seed is 1, in the checkpoint 0': ('randomness.seed=1', ),
    'accumulative_counts is 2, in the checkpoint 1': ('optim_wrapper.accumulative_counts=2', ),
    'auto_scale_lr.enable is True, in the checkpoint False': ('auto_scale_lr.enable=True', ),
}


@pytest.fixture(scope='module')
def stopped(cifar: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    """A work dir with iter_3.pth."""
    work_dir = tmp_path_factory.mktemp('s')
    with stopped_after(3):
        assert classifier(cifar, RECIPE, '--seed', 0)(work_dir).returncode == 75
    return work_dir


@pytest.mark.parametrize('told', CHANGES)
def test_changes_that_would_not_be_followed_are_refused(told: str, stopped: Path, train: Callable, tmp_path: Path):
    line = error_line(train(tmp_path, 82, '--resume', stopped / 'iter_3.pth', options=CHANGES[told]))
    assert f'{stopped}/iter_3.pth: ' in line and told in line and '--resume-anyway' in line


def test_another_training_set_or_number_of_processes_is_refused(stopped: Path, train: Callable, tmp_path: Path):
    content = read_checkpoint(stopped / 'iter_3.pth')
    for key, value, told in (('processes', 2, 'the number of processes is 1, in the checkpoint 2'),
                             ('samples', 79, 'has 80 samples in 8 batches, in the checkpoint 79 in 8')):
        state = dict(content['meta']['resume'], **{key: value})
        torch.save(dict(content, meta=dict(content['meta'], resume=state)), tmp_path / 'other.pth')
        assert told in error_line(train(tmp_path / 'w', 82, '--resume', tmp_path / 'other.pth'))


def test_resume_anyway_goes_on_with_what_the_checkpoint_holds(stopped: Path, train: Callable, tmp_path: Path):
    told = succeeded(train(tmp_path, 1, '--resume', stopped / 'iter_3.pth', '--resume-anyway', options=(
        'optim_wrapper.optimizer.lr=0.05', )))
    assert 'resuming anyway' in told and 'lr is 0.05, in the checkpoint 0.02' in told
    assert read_checkpoint(tmp_path / 'epoch_1.pth')['optimizer']['param_groups'][0]['lr'] == 0.02


@pytest.mark.parametrize(('key', 'value'), [('batch', -1), ('batch', 'x'), ('ranks', [3]), ('order', dict(drawn='x')),
                                            ('ranks', [dict(generators=dict(python=3))]), ('early_stopping', [1])])
def test_a_malformed_state_is_named(key: str, value: object, stopped: Path, train: Callable, tmp_path: Path):
    content = read_checkpoint(stopped / 'iter_3.pth')
    content['meta']['resume'][key] = value
    torch.save(content, tmp_path / 'bad.pth')
    line = error_line(train(tmp_path / 'w', 82, '--resume', tmp_path / 'bad.pth'))
    assert f'{tmp_path}/bad.pth: meta.resume.{key}' in line


def test_a_checkpoint_without_a_state_goes_on_at_its_place(stopped: Path, train: Callable, tmp_path: Path):
    content = read_checkpoint(stopped / 'iter_3.pth')
    del content['meta']['resume']
    torch.save(content, tmp_path / 'foreign.pth')
    told = succeeded(train(tmp_path / 'w', 1, '--resume', tmp_path / 'foreign.pth'))
    assert '[1][4/8]' in told and '[1][3/8]' not in told and 'eta: -' not in told
    assert read_checkpoint(tmp_path / 'w' / 'epoch_1.pth')['meta']['iter'] == 8
    content['meta']['iter'] = 20
    torch.save(content, tmp_path / 'foreign.pth')
    line = error_line(train(tmp_path / 'w2', 1, '--resume', tmp_path / 'foreign.pth'))
    assert 'iteration 20 is not in epoch 1 of 8 batches' in line


def test_a_config_is_compared_as_data():
    text = "a = dict(b=[1, (2, 'x')], c=-inf)\nmodel = __import__('os').mkdir('/tmp/never')\n"
    assert parse_config(text) == {'a': dict(b=[1, [2, 'x']], c=float('-inf')),
                                  'model': "__import__('os').mkdir('/tmp/never')"}
    for broken in ('a = (', 'a = ' + '(' * 5000, 'a = ' + '-' * 100_000 + '1'):
        with pytest.raises(ValueError):
            parse_config(broken)
    plain, typed = ({'train_cfg': loop} for loop in (dict(by_epoch=True, max_epochs=2),
                                                     dict(type='mmext.EpochBasedTrainLoop', max_epochs=2)))
    assert differences(settings(plain), settings(typed)) == ([], [])
    assert differences(settings(plain), settings(dict(typed, model=dict(depth=3))))[1] == [
        'model.depth is 3, in the checkpoint not set']


@pytest.mark.parametrize(('text', 'found'), [('500', (500, None)), ('7it', (7, None)), ('10min', (None, 600.0)),
                                             ('90 s', (None, 90.0)), ('2h', (None, 7200.0))])
def test_intervals(text: str, found: tuple):
    assert parse_interval(text) == found


@pytest.mark.parametrize('text', ['0', '-3', 'min', '10 parsecs', '1.5h', ''])
def test_what_is_no_interval(text: str):
    with user_error(f'--save-every {text}: ', '10min'):
        parse_interval(text)


def test_checkpoints_on_the_way(train: Callable, tmp_path: Path):
    """Each replaces the one before; those of epochs are left alone."""
    with stopped_after(11):
        train(tmp_path, 2, '--seed', 0, '--save-every', '3it')
    assert sorted(path.name for path in tmp_path.glob('*.pth') if 'best' not in path.name) == ['epoch_1.pth',
                                                                                              'iter_11.pth']
    assert (tmp_path / 'last_checkpoint').read_text() == 'iter_11.pth'
    with mock.patch('mmext.engine.resume.interrupts.time.monotonic', iter(range(0, 10**6, 3600)).__next__):
        succeeded(train(tmp_path / 'hours', 1, '--seed', 0, '--save-every', '1h'))
    log = next((tmp_path / 'hours').glob('*/*.log')).read_text()
    assert all(f'Saving checkpoint at {i} iterations' in log for i in range(1, 9))


def test_save_every_needs_checkpoints(train: Callable, tmp_path: Path):
    assert 'need a number of iterations' in error_line(train(tmp_path, 1, '--save-every', 'often'))
    assert 'writes no checkpoints' in error_line(train(tmp_path, 1, '--save-every', '5', options=(
        'default_hooks.checkpoint=None', )))


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """SIGINT raises KeyboardInterrupt, also where the shell has started the tests in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_second_signal_ends_all(ctrl_c: None):
    with Signals() as signals:
        signals.training = True
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.received == 'SIGTERM'
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_what_torchrun_hands_on_is_no_second_signal(ctrl_c: None):
    with Signals(several=True) as signals:
        signals.training = True
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
        signals.since -= 3
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_signal_before_the_training_ends_it(cifar: Path, tmp_path: Path):  # noqa: F811
    with mock.patch('mmext.engine.run.build_runner', lambda config: os.kill(os.getpid(), signal.SIGUSR1)):
        done = here('train.py', RECIPE, '--data-root', cifar, '--work-dir', tmp_path)
    assert done.returncode == 75 and 'stopped by SIGUSR1 before the first iteration; nothing was trained' in done.stderr
    with Signals(), pytest.raises(Interrupted):
        os.kill(os.getpid(), signal.SIGTERM)
