"""With --deterministic --seed a training gives the same bits twice, for each of the three tasks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from mmext.checkpoints import read_checkpoint
from tests.soak.trainings import TASKS, Place
from tests.tools.helpers import here, succeeded


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """Deterministic algorithms are the process's, and no other test's."""
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.deterministic
    yield
    torch.use_deterministic_algorithms(before[0])
    torch.backends.cudnn.deterministic = before[1]


@pytest.fixture(scope='module')
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp('deterministic'))


def tensors(path: Path) -> dict[str, torch.Tensor]:
    content = read_checkpoint(path)
    states = content['optimizer']['state']
    return dict(content['state_dict'], **{f'momentum {i}': state['momentum_buffer'] for i, state in states.items()})


@pytest.mark.parametrize('task', TASKS)
def test_the_same_bits_twice(task: str, place: Place):
    runs = []
    for name, seed in (('once', 3), ('twice', 3), ('other', 4))[:3 if task == 'classification' else 2]:
        work_dir = place.folder / task / name
        given = place.arguments(task, work_dir, '--deterministic', '--seed', seed, options={'train_cfg.max_epochs': 1})
        succeeded(here('train.py', *given))
        assert torch.are_deterministic_algorithms_enabled()
        runs.append(tensors(work_dir / 'epoch_1.pth'))
    assert list(runs[0]) == list(runs[1]) and all(torch.equal(value, runs[1][name]) for name, value in runs[0].items())
    for other in runs[2:]:
        assert not all(torch.equal(value, other[name]) for name, value in runs[0].items())
