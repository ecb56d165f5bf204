"""The set-up on a machine without a network: a folder that another machine has filled."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from tests.tools.test_build_mmcv import load


@pytest.fixture
def setup(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    for name in ('WHEELS', 'MMCV_WHEEL', 'PIP_NO_INDEX', 'PIP_FIND_LINKS'):
        monkeypatch.setenv(name, '')  # so that what the set-up sets is undone
    return load('setup_env')


@pytest.mark.parametrize(('files', 'says'), [
    ((), 'no wheels there'), (('six-1-py3-none-any.whl', ), 'no source of mmcv there'),
    (('six-1-py3-none-any.whl', 'mmcv-2.1.0.tar.gz'), '')])
def test_the_folder_is_looked_at_before_anything_is_installed(
        setup: ModuleType, files: tuple, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture):
    for name in files:
        (tmp_path / name).touch()
    monkeypatch.setenv('WHEELS', str(tmp_path))
    done = []
    for action in ('make_venv', 'install_torch', 'install_libraries', 'build_mmcv', 'install_mmext'):
        monkeypatch.setattr(setup, action, lambda: done.append(1))
    assert setup.set_up() == (2 if says else 0)
    assert len(done) == (0 if says else 5)
    error = capsys.readouterr().err
    assert (says in error and '--fill' in error) if says else error == ''
    assert (os.environ['PIP_NO_INDEX'], os.environ['PIP_FIND_LINKS']) == (('', '') if says else ('1', str(tmp_path)))


def test_a_folder_with_a_space_is_refused(setup: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv('WHEELS', str(tmp_path / 'my wheels'))
    assert 'no folder with a space' in setup.use_wheels()


def test_without_the_folder_pip_is_left_alone(setup: ModuleType):
    assert setup.use_wheels() == '' and os.environ['PIP_NO_INDEX'] == ''


def test_a_folder_is_filled_with_all_but_torch(setup: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    commands: list[list[str]] = []
    monkeypatch.setattr(setup, 'run', lambda *command: commands.append(list(map(str, command))))
    assert setup.fill(tmp_path / 'wheels', '3.12') == 0
    libraries, openmmlab, mmcv = commands
    assert '--only-binary=:all:' in libraries and '3.12' in libraries and 'setuptools<81' in libraries
    assert openmmlab[-3:] == ['mmengine', 'mmdet', 'mmaction2'] and '--no-deps' in openmmlab
    assert '--no-binary=:all:' in mmcv and mmcv[-1].startswith('mmcv==')
    lines = (tmp_path / 'wheels' / 'constraints.txt').read_text().splitlines()
    assert not any(line.startswith(('torch==', 'mmcv==')) for line in lines) and len(lines) > 50


def test_a_download_that_fails(setup: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                               capsys: pytest.CaptureFixture):
    def run(*command: object) -> None:
        raise subprocess.CalledProcessError(1, 'pip')

    monkeypatch.setattr(setup, 'run', run)
    assert setup.fill(tmp_path, None) == 1
    assert 'error: pip download ended with code 1; a second call continues' in capsys.readouterr().err
