"""Checkpoints of a training survive kills, full disks, copies and bad numbers; a folder is one training's."""

from __future__ import annotations

import errno
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest
import torch
from mmengine.config import Config
from mmengine.fileio import LocalBackend
from mmengine.logging import MessageHub
from mmengine.optim import OptimWrapper
from mmengine.runner import save_checkpoint as save_whole

from mmext.checkpoints import read_checkpoint
from mmext.checkpoints.last import newest_checkpoint
from mmext.engine.hooks import CheckpointHook
from mmext.engine.work_dir import locked_folder
from mmext.errors import UserError
from mmext.files import remove_leftovers, write_whole
from tests.backbones.helpers import user_error
from tests.classification.helpers import write_cifar10
from tests.conftest import ROOT, error_line
from tests.tools.helpers import here, succeeded

RECIPE = ROOT / 'configs' / 'classification' / 'rir_cifar10.py'
OPTIONS = ('model.backbone.blocks=[1,1,1]', 'train_dataloader.batch_size=40', 'optim_wrapper.optimizer.lr=0.02',
           'default_hooks.checkpoint.max_keep_ckpts=1')


@pytest.fixture(scope='module')
def cifar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('c')
    write_cifar10(folder / 'cifar', 16)
    return folder / 'cifar'


@pytest.fixture(scope='module')
def train(cifar: Path) -> Callable[..., subprocess.CompletedProcess]:
    """train(work_dir, epochs, flags): a classifier, two iterations an epoch."""
    def start(work_dir: Path, epochs: int = 1, *flags: object, options: tuple = ()) -> subprocess.CompletedProcess:
        return here('train.py', RECIPE, '--backbone', 'rir_cnn32', '--data-root', cifar, '--work-dir', work_dir,
                    '--seed', 0, *flags, '--cfg-options', *OPTIONS, f'train_cfg.max_epochs={epochs}', *options)
    return start


@pytest.fixture(scope='module')
def trained(train: Callable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    work_dir = tmp_path_factory.mktemp('w')
    succeeded(train(work_dir, 2, options=('default_hooks.checkpoint.max_keep_ckpts=3', )))
    return work_dir


@pytest.fixture
def copied(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / 'copy'))


def usable(folder: Path) -> list[str]:
    names = []
    for path in sorted(folder.glob('*.pth')):
        read_checkpoint(path)
        names.append(path.name)
    return names


@pytest.fixture
def hook(tmp_path: Path) -> tuple[CheckpointHook, SimpleNamespace]:
    """A hook that keeps one checkpoint, and the best, and a runner that writes small ones."""
    hook = CheckpointHook(interval=1, max_keep_ckpts=1, save_best='top1', rule='greater')

    def save_checkpoint(out_dir: str, filename: str, *args: object, **kwargs: object) -> None:
        content = dict(state_dict={'a': torch.ones(3)}, message_hub=runner.message_hub.state_dict())
        hook.before_save_checkpoint(runner, content)
        save_whole(content, str(Path(out_dir, filename)))

    runner = SimpleNamespace(cfg=Config(), work_dir=str(tmp_path), message_hub=MessageHub(f'test {tmp_path}'), epoch=0,
                             iter=0, logger=mock.Mock(), save_checkpoint=save_checkpoint)
    hook.before_train(runner)
    return hook, runner


class Killed(BaseException):
    """A kill, at the moment it comes."""


def test_an_old_checkpoint_goes_when_the_new_one_is_whole(hook: tuple, tmp_path: Path):
    hook, runner = hook
    hook._save_checkpoint(runner)
    runner.epoch = 1
    hook.after_val_epoch(runner, dict(top1=0.5))
    assert usable(tmp_path) == ['best_top1_epoch_1.pth', 'epoch_1.pth']
    runner.save_checkpoint = mock.Mock(side_effect=Killed)
    with pytest.raises(Killed):
        hook._save_checkpoint(runner)
    runner.epoch = 2
    with pytest.raises(Killed):
        hook.after_val_epoch(runner, dict(top1=0.6))
    assert usable(tmp_path) == ['best_top1_epoch_1.pth', 'epoch_1.pth'], 'neither is lost'


def test_a_kill_before_the_new_checkpoint_was_noted(hook: tuple, tmp_path: Path):
    """The run that goes on from it notes it before it removes the old one, so that the hint names what is there."""
    hook, runner = hook
    hook._save_checkpoint(runner)
    runner.epoch = 1
    with mock.patch('mmext.engine.hooks.checkpoint.note_last', side_effect=Killed), pytest.raises(Killed):
        hook._save_checkpoint(runner)
    hint = tmp_path / 'last_checkpoint'
    assert usable(tmp_path) == ['epoch_1.pth', 'epoch_2.pth'] and hint.read_text() == 'epoch_1.pth'
    runner.train_loop = SimpleNamespace(checkpoint_path=str(tmp_path / 'epoch_2.pth'))
    again = CheckpointHook(interval=1, max_keep_ckpts=1, save_best='top1', rule='greater')
    again.before_train(runner)
    assert usable(tmp_path) == ['epoch_2.pth'] and hint.read_text() == 'epoch_2.pth'


def save_for_ever(hook: CheckpointHook, runner: SimpleNamespace) -> None:
    for epoch in range(10_000):
        runner.epoch = epoch
        hook._save_checkpoint(runner)
        runner.epoch = epoch + 1
        hook.after_val_epoch(runner, dict(top1=epoch))


@pytest.mark.parametrize('milliseconds', [10, 33, 51, 78, 94])
def test_a_kill_at_any_time_leaves_the_last_and_the_best(milliseconds: int, hook: tuple, tmp_path: Path):
    hook, runner = hook
    child = multiprocessing.get_context('fork').Process(target=save_for_ever, args=(hook, runner))
    child.start()
    while child.is_alive() and not list(tmp_path.glob('best_*.pth')):
        time.sleep(0.001)
    time.sleep(milliseconds / 1000)
    child.kill()
    child.join()
    names = usable(tmp_path)
    assert child.exitcode == -signal.SIGKILL
    assert any(name.startswith('epoch_') for name in names) and any(name.startswith('best_') for name in names)


def test_only_the_newest_and_the_best_are_kept(hook: tuple, tmp_path: Path):
    hook, runner = hook
    for epoch in range(3):
        runner.epoch = epoch
        hook._save_checkpoint(runner)
        runner.epoch = epoch + 1
        hook.after_val_epoch(runner, dict(top1=(0.5, 0.7, 0.6)[epoch]))
    assert usable(tmp_path) == ['best_top1_epoch_2.pth', 'epoch_3.pth']


def test_what_a_kill_leaves_over_goes_when_it_is_resumed(hook: tuple, tmp_path: Path):
    hook, runner = hook
    hook._save_checkpoint(runner)
    runner.epoch = 1
    with mock.patch.object(LocalBackend, 'remove', side_effect=Killed), pytest.raises(Killed):
        hook._save_checkpoint(runner)
    assert usable(tmp_path) == ['epoch_1.pth', 'epoch_2.pth']
    content = read_checkpoint(tmp_path / 'epoch_2.pth')
    runner.message_hub.load_state_dict(content['message_hub'])
    CheckpointHook(interval=1, max_keep_ckpts=1).before_train(runner)
    assert usable(tmp_path) == ['epoch_2.pth']


def test_a_number_that_is_not_finite_is_not_written(hook: tuple, tmp_path: Path):
    hook, runner = hook
    hook._save_checkpoint(runner)
    for part in ('state_dict', 'ema_state_dict', 'optimizer'):
        with user_error(f'{part}.x is not finite', f'epoch_1.pth in {tmp_path} is from before'):
            hook.before_save_checkpoint(runner, {part: {'x': torch.tensor([1, float('nan')])}})


def test_weights_that_turn_bad_after_the_last_loss(train: Callable, tmp_path: Path):
    """The loss is finite at every iteration; the last update makes a weight infinite."""
    def update(wrapper: OptimWrapper, *args: object, **kwargs: object) -> None:
        wrapper.param_groups[0]['params'][3].data.fill_(float('inf'))

    with mock.patch.object(OptimWrapper, 'update_params', update):
        line = error_line(train(tmp_path, options=('train_dataloader.batch_size=80', )))
    assert 'is not finite any more' in line and 'without writing a checkpoint' in line
    assert not list(tmp_path.glob('*.pth'))


def test_a_safetensors_file_is_no_place_for_a_training():
    with user_error('filename_tmpl=e{}.safetensors', 'convert-weights'):
        CheckpointHook(filename_tmpl='e{}.safetensors')


@pytest.mark.parametrize('hint', ['', 'epoch_1.pth', '/elsewhere/epoch_2.pth', None])
def test_last_checkpoint_is_a_hint_only(hint: str | None, copied: Path, trained: Path, train: Callable):
    assert (copied / 'last_checkpoint').read_text() == 'epoch_2.pth'
    (copied / 'last_checkpoint').unlink()
    if hint is not None:
        (copied / 'last_checkpoint').write_text(hint)
    before = sorted(path.name for path in trained.iterdir())
    told = succeeded(train(copied, 3, '--resume'))
    assert f'{copied}/epoch_2.pth' in told and (copied / 'last_checkpoint').read_text() == 'epoch_3.pth'
    assert sorted(path.name for path in trained.iterdir()) == before, 'the original of the copy is left alone'


def test_the_newest_that_reads_well_is_taken(copied: Path, train: Callable):
    content = (copied / 'epoch_2.pth').read_bytes()
    (copied / 'epoch_2.pth').write_bytes(content[:len(content) // 2])
    (copied / 'epoch_3.pth').write_bytes(b'')
    (copied / 'epoch_10.pth').write_bytes(b'')
    path, passed = newest_checkpoint(copied)
    assert path == copied / 'epoch_1.pth'
    assert [line.partition(':')[0] for line in passed] == [f'{copied}/epoch_{n}.pth' for n in (10, 3, 2)]
    told = succeeded(train(copied, 2, '--resume'))
    assert f'skipped: {copied}/epoch_2.pth: not a readable checkpoint' in told
    assert newest_checkpoint(copied)[0] == copied / 'epoch_2.pth', 'written anew'


def test_none_that_reads_well_is_no_beginning(copied: Path, train: Callable):
    for path in copied.glob('epoch_*.pth'):
        path.write_bytes(b'')
    assert 'none of its 2 checkpoints can be resumed from' in error_line(train(copied, 3, '--resume'))


def test_resuming_where_there_is_nothing_begins(train: Callable, tmp_path: Path):
    told = succeeded(train(tmp_path / 'new', 1, '--resume'))
    assert 'contains no checkpoint yet, the training starts from the beginning' in told


def test_a_used_folder(copied: Path, train: Callable):
    line = error_line(train(copied))
    assert 'contains checkpoints of a training' in line and '--resume' in line and '--overwrite' in line
    assert error_line(train(copied, 1, '--overwrite', options=('model.num_classes=3', )))
    assert 'epoch_2.pth' in usable(copied), 'nothing is deleted before all is checked'
    succeeded(train(copied, 1, '--overwrite'))
    assert [name for name in usable(copied) if name.startswith('epoch')] == ['epoch_1.pth']


MALFORMED = {
    'meta': lambda content: content.update(meta=3),
    'meta.epoch': lambda content: content['meta'].update(epoch='one'),
    'meta.iter': lambda content: content['meta'].pop('iter'),
    'meta.seed': lambda content: content['meta'].update(seed='x'),
    'state_dict': lambda content: content.update(state_dict=[1]),
    'message_hub': lambda content: content.update(message_hub=None),
    'message_hub.runtime_info': lambda content: content['message_hub'].pop('runtime_info'),
    'message_hub.log_scalars.train/loss': lambda content: content['message_hub']['log_scalars'].update({
        'train/loss': 3}),
    'optimizer.param_groups': lambda content: content['optimizer'].update(param_groups=3),
    'optimizer.param_groups.0.lr': lambda content: content['optimizer']['param_groups'][0].update(lr=float('nan')),
    'optimizer.state': lambda content: content['optimizer'].pop('state'),
    'its optimiser has 2 parameter groups': lambda content: content['optimizer']['param_groups'].append(
        dict(params=[], lr=1)),
    'its optimiser has no momentum': lambda content: content['optimizer']['param_groups'][0].pop('momentum'),
    'optimizer.state.0.momentum_buffer has the shape (2,)': lambda content: content['optimizer']['state'][0].update(
        momentum_buffer=torch.ones(2)),
    'param_schedulers': lambda content: content.update(param_schedulers=3),
    'cannot be resumed from (': lambda content: content.update(param_schedulers=[3]),
    "'message_hub' is missing": lambda content: content.pop('message_hub'),
}


@pytest.mark.parametrize('place', MALFORMED)
def test_a_malformed_checkpoint_is_named(place: str, copied: Path, train: Callable, tmp_path: Path):
    content = read_checkpoint(copied / 'epoch_2.pth')
    MALFORMED[place](content)
    torch.save(content, tmp_path / 'bad.pth')
    line = error_line(train(tmp_path / 'run', 3, '--resume', tmp_path / 'bad.pth'))
    assert f'{tmp_path}/bad.pth: ' in line and place in line


def test_one_training_to_a_folder(copied: Path, train: Callable):
    code = ('import sys; from mmext.engine.work_dir import locked_folder\n'
            'with locked_folder(sys.argv[1]):\n    print("taken", flush=True); sys.stdin.read()')
    with subprocess.Popen([sys.executable, '-c', code, str(copied)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True, cwd=ROOT) as other:
        other.stdout.readline()
        line = error_line(train(copied, 3, '--resume'))
        assert f'a training is running there (process {other.pid} on ' in line
        other.send_signal(signal.SIGKILL)
    with locked_folder(str(copied)):
        pass


def test_processes_that_would_begin_elsewhere_are_told(copied: Path, train: Callable):
    with mock.patch('mmext.engine.run.all_gather_object', lambda own: [own, None]):
        line = error_line(train(copied, 3, '--resume'))
    assert 'starts from epoch_2.pth, and process 1 from none; the work dir must be on a disk' in line


def test_left_over_files_go_but_not_those_of_a_live_run(copied: Path, train: Callable):
    (copied / '.epoch_3.pth.abc.part').write_bytes(b'x' * 2_000_000)
    with subprocess.Popen([sys.executable, '-c', 'import sys; from pathlib import Path; from mmext.files import '
                           'write_whole; write_whole(sys.argv[1], lambda path: (path.write_text("x"), '
                           'print("writing", flush=True), sys.stdin.read()))', str(copied / 'live')],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as other:
        other.stdout.readline()
        assert 'removed 1 unfinished file(s), 2.0 MB' in succeeded(train(copied, 2, '--resume'))
        assert len(list(copied.glob('.*.part'))) == 1
        other.send_signal(signal.SIGKILL)
    assert remove_leftovers(copied) == (1, 1) and not list(copied.glob('.*.part'))


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def disk_full(path: Path, *args: object, **kwargs: object) -> None:
    raise FULL


def test_a_full_disk_leaves_the_checkpoint_before(copied: Path, train: Callable):
    with mock.patch.object(Path, 'write_bytes', disk_full):
        done = train(copied, 3, '--resume')
    line = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 3 and line.startswith(f'error: {copied}/') and 'no space left' in line
    assert 'Traceback' not in done.stderr and not list(copied.glob('.*.part'))
    assert 'epoch_2.pth' in usable(copied) and newest_checkpoint(copied) == (copied / 'epoch_2.pth', [])


def test_a_full_disk_of_a_log_ends_the_run(train: Callable, tmp_path: Path):
    with mock.patch('logging.FileHandler.emit', lambda handler, record: fail(handler, record)):
        done = train(tmp_path)
    assert done.returncode == 3 and f'error: {tmp_path}/' in done.stderr and '.log: no space left' in done.stderr
    assert 'Traceback' not in done.stderr


def fail(handler: object, record: object) -> None:
    try:
        raise FULL
    except OSError:
        handler.handleError(record)


def test_a_real_limit(tmp_path: Path):
    """A limit on file sizes stands for a full disk: bytes that can't be written."""
    (tmp_path / 'kept.json').write_text('old')
    code = ('import resource, sys; from mmext.files import write_whole; from mmext.engine import cli; '
            'resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)); '
            'cli.run(lambda: write_whole(sys.argv[1], lambda path: path.write_text("x" * 5000)))')
    done = subprocess.run([sys.executable, '-c', code, str(tmp_path / 'kept.json')], capture_output=True, text=True,
                          cwd=ROOT)
    assert done.returncode == 3 and done.stderr.startswith(f'error: {tmp_path}/kept.json: no space left')
    assert [path.name for path in tmp_path.iterdir()] == ['kept.json'] and (tmp_path / 'kept.json').read_text() == 'old'


def test_a_device_is_written_as_it_is(tmp_path: Path):
    write_whole('/dev/null', lambda path: path.write_text('x'))
    assert not Path('/dev/null').is_file()
    with pytest.raises(UserError, match='/dev/full: no space left'):
        write_whole('/dev/full', lambda path: path.write_text('x'))
