"""One training, split over processes, batches and interruptions: the same losses and weights come out."""

from __future__ import annotations

import json
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

import pytest
import torch
from mmengine.optim import OptimWrapper
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mmext.checkpoints import read_checkpoint
from tests.classification.helpers import write_cifar10
from tests.conftest import ROOT, error_line, run
from tests.tools.helpers import here, succeeded

# A classifier without batch statistics or random augmentation: nothing but the sampler's shuffling is drawn.
CONFIG = f"""
_base_ = '{ROOT}/configs/classification/rir_cifar10.py'
model = dict(backbone=dict(blocks=(1, 1, 1), norm_eval=True))
train_dataloader = dict(dataset=dict(pipeline=[dict(type='mmext.BatchCenterPad', size=32)]))
param_scheduler = [dict(type='MultiStepLR', by_epoch=True, milestones=[1], end=2, gamma=0.1)]
optim_wrapper = dict(optimizer=dict(lr=0.1))
train_cfg = dict(max_epochs=2, val_interval=1)
default_hooks = dict(logger=dict(interval=1))
log_processor = dict(window_size=1)
"""
COMMON = ('--backbone', 'rir_cnn32')
slow = pytest.mark.skipif('MMEXT_SLOW' not in os.environ, reason='minutes; set MMEXT_SLOW=1')


@pytest.fixture(scope='module')
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with tiny.py and 80 + 16 images in CIFAR's form."""
    folder = tmp_path_factory.mktemp('processes')
    write_cifar10(folder / 'cifar', 16)
    (folder / 'tiny.py').write_text(CONFIG)
    return folder


def arguments(place: Path, name: str, batch: int, *flags: object, epochs: int = 2) -> tuple[str, ...]:
    given = (place / 'tiny.py', *COMMON, '--data-root', place / 'cifar', '--work-dir', place / name, *flags,
             '--cfg-options', f'train_dataloader.batch_size={batch}', f'train_cfg.max_epochs={epochs}')
    return tuple(map(str, given))


def launched(processes: int) -> tuple[str, ...]:
    """torchrun."""
    return '-m', 'torch.distributed.run', f'--nproc_per_node={processes}', f'--master_port={free_port()}'


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def logged(folder: Path, name: str) -> list[float]:
    """A scalar of each training iteration."""
    lines = [json.loads(line) for path in sorted(folder.glob('*/vis_data/scalars.json'))
             for line in path.read_text().splitlines()]
    return [line[name] for line in lines if name in line]


def last(folder: Path, epoch: int = 2) -> dict:
    return read_checkpoint(folder / f'epoch_{epoch}.pth')


def assert_close(one: dict, other: dict) -> None:
    assert list(one) == list(other)
    for name, value in one.items():
        assert torch.allclose(value, other[name], rtol=1e-4, atol=5e-6), name


@pytest.fixture(scope='module')
def whole(place: Path) -> Path:
    """One process, 16 images an update."""
    succeeded(here('train.py', *arguments(place, 'whole', 16, '--seed', 0, '--auto-scale-lr', '--tensorboard')))
    return place / 'whole'


@pytest.mark.parametrize('processes', [2, pytest.param(4, marks=slow)])
def test_processes_share_a_batch(place: Path, whole: Path, processes: int):
    name = f'torchrun{processes}'
    flags = ('--seed', 0, '--auto-scale-lr', '--launcher', 'pytorch')
    done = run(*launched(processes), 'tools/train.py', *arguments(place, name, 16 // processes, *flags))
    printed = succeeded(done)
    losses = logged(whole, 'loss')
    assert len(losses) == 10 and max(losses) - min(losses) > 0.05, 'they tell trainings apart'
    assert logged(place / name, 'loss') == pytest.approx(losses, rel=1e-5)
    assert logged(place / name, 'lr') == logged(whole, 'lr') == pytest.approx([0.1 * 16 / 500] * 5 + [0.0032 / 10] * 5)
    assert_close(last(place / name)['state_dict'], last(whole)['state_dict'])
    assert printed.count('Epoch(train)  [1][1/5]') + printed.count('Epoch(train) [1][1/5]') == 1, 'one process logs'
    assert 'it/s' not in printed and 'batch/s' not in printed, 'no bars but on a terminal'


def test_slurm_processes_share_the_statistics_of_batch_norms(place: Path):
    """Nothing learns; the first batch norm's running mean is then that of the whole batches, averaged or not."""
    flags = ('--seed', 0, '--ema', 0.3)
    options = ('optim_wrapper.optimizer.lr=1e-12', 'model.backbone.norm_eval=False')
    slurm = dict(SLURM_NTASKS='2', SLURM_JOB_ID='1', MASTER_ADDR='127.0.0.1', MASTER_PORT=str(free_port()))
    command = ('tools/train.py', *arguments(place, 'slurm', 8, *flags, '--launcher', 'slurm', epochs=1), *options)
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(run, *command, env=dict(slurm, SLURM_PROCID=rank, SLURM_LOCALID=rank))
                     for rank in ('0', '1')]:
            succeeded(done.result())
    succeeded(here('train.py', *arguments(place, 'alone', 16, *flags, epochs=1), *options))
    together, alone = last(place / 'slurm', 1), last(place / 'alone', 1)
    for part, name in (('state_dict', 'backbone.bn1'), ('ema_state_dict', 'module.backbone.bn1')):
        mean = alone[part][f'{name}.running_mean']
        assert mean.abs().max() > 0.01
        assert torch.allclose(together[part][f'{name}.running_mean'], mean, atol=1e-6), part
        assert together[part][f'{name}.num_batches_tracked'] == alone[part][f'{name}.num_batches_tracked']


def test_tensorboard_has_what_the_log_has(whole: Path):
    events = EventAccumulator(str(next(whole.glob('*/vis_data'))))
    events.Reload()
    for name in ('loss', 'lr', 'accuracy/top1'):
        assert [event.value for event in events.Scalars(name)] == pytest.approx(logged(whole, name), rel=1e-6)
    assert [event.step for event in events.Scalars('loss')] == list(range(1, 11))


@pytest.fixture(scope='module')
def accumulated(place: Path) -> tuple[Path, list[list[torch.Tensor]]]:
    """Batches of 4, three an update, which leaves two at each epoch's end; and the weights after each update."""
    updates = []
    step = OptimWrapper.step

    def noted(wrapper: OptimWrapper, **options: object) -> None:
        step(wrapper, **options)
        updates.append([weight.detach().clone() for weight in wrapper.optimizer.param_groups[0]['params']])

    flags = ('--seed', 0, '--auto-scale-lr', '--accumulate', 3, '--ema', 0.3)
    with mock.patch.object(OptimWrapper, 'step', noted):
        succeeded(here('train.py', *arguments(place, 'accumulated', 4, *flags)))
    return place / 'accumulated', updates


def test_accumulated_batches_are_one(place: Path, accumulated: tuple):
    succeeded(here('train.py', *arguments(place, 'twelve', 12, '--seed', 0, '--auto-scale-lr')))
    folder, updates = accumulated
    assert len(updates) == 2 * 7 == len(logged(place / 'twelve', 'loss'))
    small = logged(folder, 'loss')[:18]
    means = [sum(small[i:i + 3]) / 3 for i in range(0, 18, 3)]
    assert means == pytest.approx(logged(place / 'twelve', 'loss')[:6], rel=1e-5)
    assert logged(folder, 'lr')[:7] == pytest.approx([0.1 * 12 / 500] * 7)
    weights = dict(last(folder)['state_dict'], **raw_weights(last(folder)))
    assert_close(weights, last(place / 'twelve')['state_dict'])


def raw_weights(checkpoint: dict) -> dict[str, torch.Tensor]:
    """What the optimiser works on."""
    return {name.removeprefix('module.'): value for name, value in checkpoint['ema_state_dict'].items()
            if name.startswith('module.')}


def test_the_average_is_over_updates_and_is_what_is_tested(place: Path, accumulated: tuple):
    folder, updates = accumulated
    average = updates[0]
    for weights in updates[1:]:
        average = [0.7 * old + 0.3 * new for old, new in zip(average, weights)]
    checkpoint = last(folder)
    named = {name: value for name, value in checkpoint['state_dict'].items() if 'running' not in name and
             'num_batches' not in name}
    assert len(named) == len(average)
    for (name, value), reference in zip(named.items(), average):
        assert torch.allclose(value, reference, atol=1e-6), name
    out = place / 'metrics.json'
    succeeded(here('test.py', place / 'tiny.py', folder / 'epoch_2.pth', *COMMON, '--data-root', place / 'cifar',
                   '--work-dir', place / 'tested', '--out', out))
    assert json.loads(out.read_text())['error1'] == logged(folder, 'accuracy/error1')[-1]


def test_resumed_average_and_accumulation_are_bit_equal(place: Path, accumulated: tuple):
    flags = ('--auto-scale-lr', '--accumulate', 3)
    succeeded(here('train.py', *arguments(place, 'halved', 4, '--seed', 0, *flags, '--ema', 0.3, epochs=1)))
    line = error_line(here('train.py', *arguments(place, 'halved', 4, *flags, '--resume')))
    assert 'epoch_1.pth' in line and 'give --ema again' in line
    succeeded(here('train.py', *arguments(place, 'halved', 4, *flags, '--ema', 0.3, '--resume')))
    once, twice = last(accumulated[0]), last(place / 'halved')
    assert once['ema_state_dict']['steps'] == 14
    for part in ('state_dict', 'ema_state_dict'):
        assert list(once[part]) == list(twice[part])
        assert all(torch.equal(value, twice[part][name]) for name, value in once[part].items()), part


@pytest.mark.parametrize(('processes', 'detectors'), [
    (2, ['ssd']), pytest.param(4, ['ssd', 'fcos', 'atss', 'ssd_mmdet'], marks=slow)])
def test_detectors_whose_processes_agree_on_the_number_of_objects(processes: int, detectors: list[str]):
    """Others divide each process's loss by its own number: mmdet's SSD, RetinaNet, Faster and Cascade R-CNN."""
    done = run(*launched(processes), '-m', 'tests.tools.process_detectors', *detectors)
    found = json.loads(succeeded(done).partition('found: ')[2].splitlines()[0])
    assert list(found) == detectors
    for name, differences in found.items():
        assert min(differences) > 1e-4 if name == 'ssd_mmdet' else max(differences) < 1e-5, name
