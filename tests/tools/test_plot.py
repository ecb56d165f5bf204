"""tools/plot.py: the files that it writes, and what it refuses before it writes any."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import error_line
from tests.engine.test_log import train, write
from tests.tools.helpers import here, succeeded


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    folders = [tmp_path / 'first', tmp_path / 'second']
    for i, folder in enumerate(folders, 1):
        write(folder, '20260101_000000', [train(1, 10, loss_cls=0.3 * i), {'coco/AP': 0.2 * i, 'step': 1},
                                          train(2, 20, loss_cls=0.2 * i), {'coco/AP': 0.3 * i, 'step': 2}])
    return folders


def test_a_picture_of_two_runs(runs: list[Path]) -> None:
    printed = succeeded(here('plot.py', *runs))
    assert f'loss, lr, coco/AP of first, second: {runs[0] / "curves.png"}' in printed
    picture = np.asarray(Image.open(runs[0] / 'curves.png').convert('RGB')).reshape(-1, 3)
    for colour in ((0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)):
        assert (picture == colour).all(axis=1).sum() > 500
    assert not list(runs[0].glob('.*'))


def test_errors_of_training_and_validation(tmp_path: Path) -> None:
    write(tmp_path / 'a', '20260101_000000', [train(1, 10, accuracy=0.5), {'accuracy/top1': 0.4, 'step': 1},
                                              train(2, 20, accuracy=0.8), {'accuracy/top1': 0.6, 'step': 2}])
    printed = succeeded(here('plot.py', tmp_path / 'a', '--error'))
    assert f'top-1 error of a: {tmp_path / "a" / "error.png"}' in printed
    assert Image.open(tmp_path / 'a' / 'error.png').size[0] > 1000
    assert '--smooth: --error has the mean of each epoch' in error_line(
        here('plot.py', tmp_path / 'a', '--error', '--smooth'))


@pytest.mark.parametrize('name, start', [('a.svg', b'<?xml'), ('a.PDF', b'%PDF'), ('a.png', b'\x89PNG')])
def test_kinds_of_files(runs: list[Path], name: str, start: bytes) -> None:
    out = runs[0].parent / 'new' / name
    succeeded(here('plot.py', runs[1], '--keys', 'loss_cls', '--smooth', '--out', out))
    assert out.read_bytes().startswith(start)


@pytest.mark.parametrize('arguments, told', [
    (['--keys', 'los'], "--keys los: not in the log of first, which has lr, loss, loss_cls, coco/AP; did you mean"),
    (['--out', 'a.jpg'], '--out a.jpg: need a file name that ends in .png, .pdf, .svg'),
    (['--out', 'a'], '--out a: need a file name'),
    (['--smooth', '-1'], '--smooth -1: need a number'),
    (['--smooth', 'nan'], '--smooth nan: need a number'),
    (['--error'], '--error: no accuracy/error1 or accuracy/top1 of an epoch in the log of first; use --keys'),
    (['--out', '{run}/20260101_000000/vis_data/config.py/a.png'], "can't write there")])
def test_mistakes(runs: list[Path], arguments: list[str], told: str) -> None:
    line = error_line(here('plot.py', runs[0], *(argument.format(run=runs[0]) for argument in arguments)))
    assert told in line
    assert not (runs[0] / 'curves.png').exists()


def test_a_work_dir_without_logs(runs: list[Path]) -> None:
    none = runs[0].parent / 'none'
    assert f'{none}: no log of a run' in error_line(here('plot.py', none, runs[0]))
    assert not none.exists()
