"""Fixtures that several test folders use: a small data set, and the commands as a user runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest
import torch
from mmengine.registry import DefaultScope

from tests.warm import run_warm

ROOT = Path(__file__).resolve().parent.parent
CONFIG = 'configs/ssd300_iresnet50_coco.py'
# The smallest SSD300, two images a step, no worker processes.
SMALL = ('--backbone', 'iresnet18', '--classes', 'auto', '--seed', '0')
OPTIONS = ('train_dataloader.batch_size=2', 'train_dataloader.num_workers=0', 'val_dataloader.num_workers=0',
           'test_dataloader.num_workers=0', 'train_cfg.max_epochs=1', 'train_cfg.val_interval=1',
           'optim_wrapper.optimizer.lr=0.001', 'default_hooks.logger.interval=1')

Tool = Callable[..., subprocess.CompletedProcess]


def run(*command: str, env: dict | None = None, timeout: int = 600) -> subprocess.CompletedProcess:
    """Runs a Python command in the repository's root, one thread, output captured as text."""
    environment = {**os.environ, 'OMP_NUM_THREADS': '1', **(env or {})}
    return subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, env=environment,
                          timeout=timeout)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips the tests that need a GPU where torch finds none."""
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker('cuda'):
                item.add_marker(pytest.mark.skip(reason='torch finds no GPU'))


@pytest.fixture(autouse=True, scope='session')
def one_thread() -> None:
    """The tests' inputs are so small that more threads only wait for each other."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope='module')
def a_scope_for_each_file() -> Iterator[None]:
    """The registries' default scope belongs to the process: no test file gets what another one has left there."""
    with mock.patch.dict(DefaultScope._instance_dict, clear=True):
        yield


@pytest.fixture(autouse=True)
def a_scope_for_each_test(a_scope_for_each_file: None) -> Iterator[None]:
    """Nor a test that of the test before it."""
    with mock.patch.dict(DefaultScope._instance_dict):
        yield


@pytest.fixture(scope='session')
def tool() -> Tool:
    """tool('train.py', ...) runs tools/train.py in a process of its own."""
    return lambda script, *arguments, **options: run_warm(ROOT / 'tools' / script, *map(str, arguments), **options)


@pytest.fixture(scope='session')
def shapes(tool: Tool, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of 6 training and 2 held-out images in COCO's layout."""
    folder = tmp_path_factory.mktemp('shapes')
    made = tool('make_shapes.py', folder, '--train', 6, '--val', 2)
    assert made.returncode == 0, made.stderr
    return folder


@pytest.fixture(scope='session')
def coco_tiny() -> Path:
    """80 + 80 real COCO images, where the machine has them."""
    return real_data('coco_tiny')


def real_data(name: str) -> Path:
    """A folder of real data; a test that asks for it is skipped where the machine has none."""
    for folder in (os.environ.get('MMEXT_DATA'), ROOT.parent / 'shared' / 'data'):
        if folder and (Path(folder) / name).is_dir():
            return Path(folder) / name
    pytest.skip(f'no {name} in MMEXT_DATA or ../shared/data')


def error_line(done: subprocess.CompletedProcess) -> str:
    """The one line of a user's mistake: exit code 2, 'error: ...' last on stderr, no traceback."""
    assert done.returncode == 2, done.stdout[-2000:] + done.stderr[-2000:]
    assert 'Traceback' not in done.stderr, done.stderr[-3000:]
    lines = [line for line in done.stderr.splitlines() if line.startswith('error: ')]
    assert len(lines) == 1, done.stderr[-2000:]
    return lines[0]
