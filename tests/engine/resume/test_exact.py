"""A training that is stopped at any iteration and gone on with is bit for bit the uninterrupted one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mmext.checkpoints import read_checkpoint
from tests.classification.helpers import write_cifar10
from tests.conftest import CONFIG, OPTIONS, ROOT, SMALL, run
from tests.engine.resume.helpers import stopped_after, told_apart
from tests.tools.helpers import here, succeeded
from tests.tools.test_processes import free_port, slow
from tests.tools.test_video import TRAIN, configs, kinetics  # noqa: F401  fixtures

RECIPE = ROOT / 'configs' / 'classification' / 'rir_cifar10.py'
TINY = ('model.backbone.blocks=[1,1,1]', 'train_dataloader.batch_size=10', 'optim_wrapper.optimizer.lr=0.02',
        'default_hooks.logger.interval=1', 'log_processor.window_size=4')
BY_ITERATION = """
_base_ = {base!r}
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters={iterations}, val_interval={validated})
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=False, T_max={iterations}, end={iterations})]
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=100))
log_processor = dict(by_epoch=False)
train_dataloader = dict(sampler=dict(type={sampler!r}, shuffle=True))
"""


@pytest.fixture(scope='module')
def cifar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('c')
    write_cifar10(folder / 'cifar', 16)
    return folder / 'cifar'


def assert_exact(start: Callable[..., subprocess.CompletedProcess], folder: Path, stop: int, last: str,
                 number: int = signal.SIGTERM) -> None:
    """Trains once in one go, and once with a stop in an iteration; the last checkpoints are alike.

    Args:
        start: ``start(work_dir, flags)`` trains.
        folder: for the work dirs.
        stop: the iteration.
        last: name of the last checkpoint.
        number: the signal.
    """
    succeeded(start(folder / 'whole', '--seed', 0))
    with stopped_after(stop, number):
        done = start(folder / 'stopped', '--seed', 0)
    assert done.returncode == 75, done.stderr[-2000:]
    kept = [path.name for path in (folder / 'stopped').glob('iter_*.pth')]
    assert len(kept) == 1, kept
    assert done.stderr.splitlines()[-1].endswith(f'{folder}/stopped/{kept[0]} is written; continue with --resume')
    told = succeeded(start(folder / 'stopped', '--resume'))
    assert kept[0] in told and 'eta: -' not in told
    once, twice = (read_checkpoint(folder / name / last) for name in ('whole', 'stopped'))
    assert told_apart(once, twice) == []


def classifier(cifar: Path, config: Path, *flags: object, options: tuple = ()) -> Callable:
    return lambda work_dir, *more: here('train.py', config, '--backbone', 'rir_cnn32', '--data-root', cifar,
                                        '--work-dir', work_dir, *flags, *more, '--cfg-options', *TINY, *options)


@pytest.mark.parametrize(('workers', 'stop', 'number', 'flags'), [
    (0, 3, signal.SIGINT, ()), (2, 11, signal.SIGUSR1, ()), (0, 8, signal.SIGTERM, ()),
    (2, 10, signal.SIGTERM, ('--ema', 0.3, '--accumulate', 3))])
def test_a_classifier_in_an_epoch(workers: int, stop: int, number: int, flags: tuple, cifar: Path, tmp_path: Path):
    options = (f'train_dataloader.num_workers={workers}', 'train_cfg.max_epochs=2')
    assert_exact(classifier(cifar, RECIPE, *flags, options=options), tmp_path, stop, 'epoch_2.pth', number)
    assert not list((tmp_path / 'stopped').glob('iter_*')), 'it goes when the training is finished'


@pytest.mark.parametrize(('sampler', 'workers', 'stop'), [
    ('InfiniteSampler', 0, 7), ('InfiniteSampler', 2, 11), ('DefaultSampler', 2, 11)])
def test_a_classifier_by_iteration(sampler: str, workers: int, stop: int, cifar: Path, tmp_path: Path):
    (tmp_path / 'config.py').write_text(BY_ITERATION.format(base=str(RECIPE), iterations=14, validated=7,
                                                            sampler=sampler))
    start = classifier(cifar, tmp_path / 'config.py', options=(f'train_dataloader.num_workers={workers}', ))
    assert_exact(start, tmp_path, stop, 'iter_14.pth')


@pytest.mark.parametrize('workers', [pytest.param(0, marks=slow), 2])
def test_a_detector(workers: int, shapes: Path, tmp_path: Path):
    options = [option for option in OPTIONS if 'train_dataloader' not in option]
    assert_exact(lambda work_dir, *flags: here(
        'train.py', CONFIG, *SMALL[:4], '--data-root', shapes, '--work-dir', work_dir, *flags, '--cfg-options',
        *options, 'train_dataloader.batch_size=2', f'train_dataloader.num_workers={workers}', 'val_cfg=None',
        'val_dataloader=None', 'val_evaluator=None', 'model.backbone.frozen_stages=3'), tmp_path, 2, 'epoch_1.pth')


@pytest.mark.parametrize('by_iteration', [pytest.param(False, marks=slow), True])
def test_mmdets_own_runtime(by_iteration: bool, shapes: Path, tmp_path: Path):
    """Its samplers gather wide and tall images apart; its detectors draw from the training's own generators."""
    config = ROOT / 'configs' / 'retinanet_iresnet50_fpn_coco.py'
    if by_iteration:
        (tmp_path / 'config.py').write_text(BY_ITERATION.format(base=str(config), iterations=8, validated=100,
                                                                sampler='InfiniteSampler'))
        config = tmp_path / 'config.py'
    small = [f'{loader}.dataset.pipeline.{step}.scale=(64,64)'
             for loader, step in (('train_dataloader', 2), ('val_dataloader', 1))]
    small += ['model.backbone.frozen_stages=4', 'model.neck.out_channels=16', 'model.bbox_head.in_channels=16',
              'model.bbox_head.feat_channels=16', 'model.bbox_head.stacked_convs=1']
    assert_exact(lambda work_dir, *flags: here(
        'train.py', config, '--backbone', 'iresnet18', '--data-root', shapes, '--classes', 'auto', '--work-dir',
        work_dir, *flags, '--cfg-options', *small, 'val_dataloader.num_workers=0',
        'val_dataloader.persistent_workers=False', *([] if by_iteration else ['train_cfg.max_epochs=2'])),
        tmp_path, 4, 'iter_8.pth' if by_iteration else 'epoch_2.pth')


@pytest.mark.parametrize('workers', [pytest.param(0, marks=slow), 2])
def test_a_recognizer(workers: int, configs: Path, kinetics: Path, tmp_path: Path):  # noqa: F811
    """Its classes are told apart after a dropout, which draws from the training's own generators."""
    assert_exact(lambda work_dir, *flags: here(
        'train.py', configs / 'resnet3d50_kinetics400.py', '--data-root', kinetics, '--work-dir', work_dir,
        *flags, *TRAIN[2:], 'train_dataloader.dataset.max_unreadable=0.5', 'val_cfg=None', 'val_dataloader=None',
        'val_evaluator=None', f'train_dataloader.num_workers={workers}'), tmp_path, 2, 'epoch_1.pth')


def test_two_processes(cifar: Path, tmp_path: Path):
    """Each has its own share of the data, statistics of batch norms and logs."""
    def start(name: str, *flags: object) -> None:
        succeeded(run('-m', 'torch.distributed.run', '--nproc_per_node=2', f'--master_port={free_port()}',
                      'tools/train.py', str(RECIPE), '--backbone', 'rir_cnn32', '--data-root', str(cifar), '--work-dir',
                      str(tmp_path / name), '--launcher', 'pytorch', *map(str, flags), '--cfg-options', *TINY,
                      'train_dataloader.num_workers=2', 'train_cfg.max_epochs=2', 'train_cfg.val_interval=5',
                      'default_hooks.checkpoint.by_epoch=False', 'default_hooks.checkpoint.interval=7'))

    start('whole', '--seed', 0)
    start('resumed', '--resume', tmp_path / 'whole' / 'iter_7.pth')
    once, twice = (read_checkpoint(tmp_path / name / 'iter_8.pth') for name in ('whole', 'resumed'))
    assert once['meta']['resume']['processes'] == 2 and told_apart(once, twice) == []
    first, second = once['meta']['resume']['ranks']
    assert told_apart(once, once) == [] and first['buffers'].keys() == second['buffers'].keys()


def test_a_process_of_its_own(cifar: Path, tmp_path: Path):
    """SIGTERM to the whole group, workers included, as Slurm sends it."""
    options = ('train_dataloader.num_workers=2', 'train_cfg.max_epochs=300', 'train_cfg.val_interval=1000')
    command = [sys.executable, 'tools/train.py', str(RECIPE), '--backbone', 'rir_cnn32', '--data-root', str(cifar),
               '--work-dir', str(tmp_path / 'w'), '--seed', '0', '--cfg-options', *TINY, *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          start_new_session=True, env={**os.environ, 'OMP_NUM_THREADS': '1'}) as process:
        for line in process.stdout:
            if 'Epoch(train)' in line:
                break
        time.sleep(0.3)
        os.killpg(process.pid, signal.SIGTERM)
        err = process.communicate(timeout=60)[1]
    assert process.returncode == 75, err[-2000:]
    kept, = (tmp_path / 'w').glob('iter_*.pth')
    assert err.strip().splitlines()[-1].startswith('stopped by SIGTERM after iteration ') and kept.name in err
    assert 'Traceback' not in err
    done = read_checkpoint(kept)['meta']['iter']
    more = ('train_dataloader.num_workers=2', f'train_cfg.max_epochs={done // 8 + 1}', 'train_cfg.val_interval=1000')
    start = classifier(cifar, RECIPE, options=more)
    succeeded(start(tmp_path / 'w', '--resume'))
    succeeded(start(tmp_path / 'whole', '--seed', 0))
    once, twice = (read_checkpoint(tmp_path / name / f'epoch_{done // 8 + 1}.pth') for name in ('whole', 'w'))
    assert told_apart(once, twice) == []
