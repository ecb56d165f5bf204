"""A classifier from data set to figures: trained, resumed, tested and gathered by the commands."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from mmengine.runner import EpochBasedTrainLoop

from mmext import create_classifier
from mmext.checkpoints import read_checkpoint
from tests.classification.helpers import write_cifar10
from tests.conftest import ROOT, Tool, error_line
from tests.tools.helpers import here, succeeded

RECIPE = 'rir_cifar10'
CONFIG = ROOT / 'configs' / 'classification' / f'{RECIPE}.py'
NET = ('--backbone', 'rir_cnn32')
OPTIONS = ('model.backbone.blocks=[1,1,1]', 'train_dataloader.batch_size=16', 'optim_wrapper.optimizer.lr=0.02',
           'param_scheduler.0.milestones=[2]')
EPOCHS = 3
CLASSES = ['airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'lorry']


@dataclass(frozen=True)
class Runs:
    """CIFAR-10's files, their test images and labels, and the work dirs of three runs, of which one was resumed."""

    root: Path
    images: np.ndarray
    labels: np.ndarray
    once: Path
    resumed: Path
    other: Path


def stopped_by_hand(run_iter: Callable) -> Callable:
    """Ctrl-C in the middle of the second epoch."""
    def run(loop: EpochBasedTrainLoop, *arguments: object) -> None:
        if loop.iter == 11:
            raise KeyboardInterrupt
        run_iter(loop, *arguments)
    return run


@pytest.fixture(scope='module')
def runs(tool: Tool, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    folder = tmp_path_factory.mktemp('c')  # short, see the fixture place of test_classification_input
    images, labels = write_cifar10(folder / 'cifar', 24)['test']
    once, resumed = folder / f'{RECIPE}_seed0', folder / 'interrupted' / f'{RECIPE}_seed0'
    other = folder / f'{RECIPE}_seed1'

    def train(start: Tool, work_dir: Path, epochs: int, *flags: object) -> subprocess.CompletedProcess:
        return start('train.py', CONFIG, *NET, '--data-root', folder / 'cifar', '--work-dir', work_dir, *flags,
                     '--cfg-options', *OPTIONS, f'train_cfg.max_epochs={epochs}')

    with mock.patch.object(EpochBasedTrainLoop, 'run_iter', stopped_by_hand(EpochBasedTrainLoop.run_iter)):
        assert train(here, resumed, EPOCHS - 1, '--seed', 0).returncode == 130
    succeeded(train(tool, once, EPOCHS, '--seed', 0))
    succeeded(train(tool, resumed, EPOCHS, '--resume'))  # the seed is the checkpoint's
    succeeded(train(here, other, EPOCHS, '--seed', 1))
    return Runs(folder / 'cifar', images, labels, once, resumed, other)


def test_outputs_are_in_the_work_dir(runs: Runs):
    assert (runs.once / 'last_checkpoint').read_text() == f'epoch_{EPOCHS}.pth'
    assert (runs.once / f'{RECIPE}.py').is_file()
    assert len(list(runs.once.glob('best_accuracy_top1_epoch_*.pth'))) == 1
    assert not list(runs.once.glob('.*.part'))


def differences(one: object, other: object, place: str = '') -> list[str]:
    """Where two nested values are not the same, bit for bit."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = dict.fromkeys((*one, *other))
        return [found for key in keys for found in differences(one.get(key), other.get(key), f'{place}.{key}')]
    if isinstance(one, torch.Tensor):
        return [] if torch.equal(one, other) else [place]
    return [] if one == other else [place]


def test_resumed_training_is_bit_equal(runs: Runs):
    once, resumed, other = (read_checkpoint(folder / f'epoch_{EPOCHS}.pth')
                            for folder in (runs.once, runs.resumed, runs.other))
    for key in ('state_dict', 'optimizer', 'param_schedulers'):
        assert differences(once[key], resumed[key], key) == []
    assert once['meta']['iter'] == resumed['meta']['iter'] == 24
    assert once['meta']['seed'] == resumed['meta']['seed'] == 0
    assert differences(once['state_dict'], other['state_dict']), 'another seed is another run'
    rates = [measured(folder, 'lr') for folder in (runs.once, runs.resumed)]
    assert rates[0] == rates[1] == {8: 0.02, 16: 0.02, 24: pytest.approx(0.002)}, 'the schedule goes on'


def scores_of(checkpoint: Path, images: np.ndarray) -> np.ndarray:
    """Logits (N, 10) of a checkpoint's network, one image at a time, normalised here."""
    model = create_classifier('rir_cnn32', 10, checkpoint, blocks=(1, 1, 1)).eval()
    mean, std = np.array([125.3, 123.0, 113.9]), np.array([63.0, 62.1, 66.7])
    rows = []
    for image in images:
        normalised = (image - mean[:, None, None]) / std[:, None, None]
        with torch.no_grad():
            rows.append(model(torch.from_numpy(normalised).float()[None])[0].numpy())
    return np.stack(rows)


def test_metrics_are_an_independent_count(tool: Tool, runs: Runs, tmp_path: Path):
    """Tested in the work dir of the training, as it is where no seed was given."""
    trained = runs.once / f'epoch_{EPOCHS}.pth'
    scores = scores_of(trained, runs.images)
    logged = measured(runs.once, 'accuracy/top1')[EPOCHS]
    assert logged == pytest.approx((scores.argmax(1) == runs.labels).mean())

    # So short a training may prefer one class for all images; the mean is taken away, so that they differ.
    weights = read_checkpoint(trained)['state_dict']
    weights['fc.bias'] -= torch.from_numpy(scores.mean(0))
    checkpoint, out = tmp_path / 'weights.pth', tmp_path / 'new' / 'metrics.json'
    torch.save(dict(state_dict=weights), checkpoint)
    printed = succeeded(tool('test.py', CONFIG, checkpoint, *NET, '--data-root', runs.root, '--work-dir', runs.once,
                             '--per-class', '--out', out, '--cfg-options', *OPTIONS, 'test_dataloader.batch_size=5'))
    order = np.argsort(scores.mean(0) - scores, axis=1)
    right = order[:, 0] == runs.labels
    among = np.array([label in row[:5] for row, label in zip(order, runs.labels)])
    assert len(set(order[:, 0])) > 1 and 0 < among.mean() < 1, 'equal answers tell nothing'
    found = json.loads(out.read_text())
    classes = found.pop('per_class')
    assert found == pytest.approx(dict(top1=right.mean(), top5=among.mean(), error1=1 - right.mean()))
    assert list(classes) == CLASSES
    for i, name in enumerate(CLASSES):
        own = runs.labels == i
        shares = [hits[own].mean() if own.any() else -1 for hits in (right, among)]
        assert classes[name] == pytest.approx(dict(top1=shares[0], top5=shares[1], images=own.sum()))
    assert all(name in printed for name in (*CLASSES, f'{100 * among.mean():.2f}', str(out)))


def test_a_fused_test_finds_the_same(runs: Runs, tmp_path: Path):
    checkpoint = runs.once / f'epoch_{EPOCHS}.pth'
    found = []
    for flags in ((), ('--fuse', )):
        out = tmp_path / f'{len(flags)}.json'
        printed = succeeded(here('test.py', CONFIG, checkpoint, *NET, '--data-root', runs.root, '--work-dir', tmp_path,
                                 '--out', out, *flags, '--cfg-options', *OPTIONS))
        found.append(json.loads(out.read_text()))
        assert bool(re.search(r'fused: (\d+) of \1 norms folded; outputs differ by at most .*times as fast', printed)
                    ) == bool(flags)
    assert found[0] == pytest.approx(found[1])
    assert '--fuse: needs a checkpoint' in error_line(here('test.py', CONFIG, '--detections', 'x', '--fuse'))


def measured(work_dir: Path, metric: str) -> dict[int, float]:
    """Epoch -> value of all logs of a work dir."""
    logs = [json.loads(line) for path in sorted(work_dir.glob('*/vis_data/scalars.json'))
            for line in path.read_text().splitlines()]
    return {log['step']: log[metric] for log in logs if metric in log}


def gathered(tmp_path: Path, *arguments: object) -> tuple[str, dict]:
    printed = succeeded(here('gather_runs.py', *arguments, '--out', tmp_path / 'figures.json'))
    recipes, = json.loads((tmp_path / 'figures.json').read_text())['metrics'].values()
    return printed, recipes


def test_runs_are_gathered(runs: Runs, tmp_path: Path):
    """Three runs: two seeds, and one of them again, interrupted and resumed, which counts once and whole."""
    folders = [runs.once, runs.resumed, runs.other]
    printed, figures = gathered(tmp_path, *folders, '--metric', 'accuracy/top5', '--last', 2)
    values = [measured(folder, 'accuracy/top5') for folder in folders]
    assert list(values[0]) == list(values[1]) == [1, 2, 3] and values[0] == values[1] != values[2]
    found = figures.pop(RECIPE)
    assert not figures
    assert [(run['seed'], run['epochs'], run['name']) for run in found['runs']] == [
        (seed, EPOCHS, f'{RECIPE}_seed{seed}') for seed in '001']
    best, last = [max(run.values()) for run in values], [[run[2], run[3]] for run in values]
    assert [run['best'] for run in found['runs']] == pytest.approx(best)
    assert np.array([run['last'] for run in found['runs']]) == pytest.approx(np.array(last))
    assert [values[i][run['best_epoch']] for i, run in enumerate(found['runs'])] == pytest.approx(best)
    assert found['best'] == pytest.approx([np.mean(best), np.std(best, ddof=1)])
    assert found['last'] == pytest.approx([np.mean(last), np.std(last, ddof=1)])
    assert f'{100 * np.mean(last):.2f} +- {100 * np.std(last, ddof=1):.2f}' in printed
    assert f'{RECIPE}: best (mean +- std) of 3' in printed and 'mean of last 2' in printed


def test_a_run_that_was_started_anew(runs: Runs, tmp_path: Path):
    """The logs of seed 1 are older in this work dir; then come an uninterrupted run's, or a resumed one's."""
    for newer in (runs.once, runs.resumed):
        again = Path(shutil.copytree(newer, tmp_path / newer.parent.name / newer.name))
        shutil.copytree(next(runs.other.glob('*/vis_data')), again / '20200101_000000' / 'vis_data')
        assert gathered(tmp_path, again)[1] == gathered(tmp_path, newer)[1] != gathered(tmp_path, runs.other)[1]


def test_what_can_not_be_gathered(runs: Runs, tmp_path: Path):
    assert 'only 3 validations, and 4 are to be averaged' in error_line(here('gather_runs.py', runs.once, '--last', 4))
    torn = Path(shutil.copytree(runs.resumed, tmp_path / 'torn'))
    log = sorted(torn.glob('*/vis_data/scalars.json'))[-1]
    log.write_text(log.read_text() + '{"accuracy/top1": 0.12\n')
    line = error_line(here('gather_runs.py', runs.once, torn))
    assert f'{log}, line 5: not JSON' in line
