"""The order of batches from any place, and what transforms draw there."""

from __future__ import annotations

import os
import random
import signal
from itertools import islice
from unittest import mock

import numpy as np
import pytest
import torch
from mmdet.datasets.samplers import AspectRatioBatchSampler, ClassAwareSampler, MultiSourceSampler
from mmengine.dataset import DefaultSampler, InfiniteSampler
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler
from torch.utils.data._utils import signal_handling

from mmext.engine.resume.batches import Batches
from mmext.engine.resume.generators import Stream, generator_states, restore_generators
from mmext.engine.resume.order import Order, is_endless
from mmext.engine.resume.workers import make_signal_safe
from tests.engine.resume.helpers import differences


class Numbers(Dataset):
    """Samples that are what all three generators draw, and that note which were read."""

    def __init__(self, count: int = 23) -> None:
        self.count = count
        self.read: list[int] = []
        self.cumulative_sizes = [count // 2, count]

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> torch.Tensor:
        self.read.append(index)
        return torch.tensor([index, random.random(), np.random.rand(), torch.rand(())], dtype=torch.float64)

    def get_data_info(self, index: int) -> dict:
        return dict(width=10, height=5 + index % 3 * 5)

    def get_cat_ids(self, index: int) -> list[int]:
        return [index % 3]

    metainfo = dict(classes=('a', 'b', 'c'))


SAMPLERS = {
    'shuffled': lambda data: DefaultSampler(data, seed=3),
    'in order': lambda data: DefaultSampler(data, shuffle=False, seed=3),
    'endless': lambda data: InfiniteSampler(data, seed=3),
    'endless, in order': lambda data: InfiniteSampler(data, shuffle=False, seed=3),
    'by class': lambda data: ClassAwareSampler(data, seed=3),
    "torch's, from the generator of all": RandomSampler,
}


def loader(sampler: str, by_shape: bool = False, workers: int = 0) -> DataLoader:
    data = Numbers()
    batches = (AspectRatioBatchSampler if by_shape else BatchSampler)(SAMPLERS[sampler](data), 4, False)
    if by_shape:
        batches.sampler.dataset = data
    return DataLoader(data, batch_sampler=batches, num_workers=workers, collate_fn=torch.stack)


def first(batches: Batches, start: int, state: dict | None = None) -> list[tuple[torch.Tensor, dict | None]]:
    """Up to nine batches from one on, with the state after each."""
    return [(batch, batches.state) for batch in islice(batches.iterate(0, start, state), 9 - start)]


@pytest.mark.parametrize('by_shape', [False, True])
@pytest.mark.parametrize('sampler', SAMPLERS)
def test_any_place_is_that_of_the_whole(sampler: str, by_shape: bool):
    whole = first(Batches(loader(sampler, by_shape), 5, 0), 0)
    assert len(whole) == (9 if 'endless' in sampler else 6)
    for start in (1, 3, len(whole)):
        for state in {id(known): known for known in (None, whole[start - 1][1])}.values():
            batches = Batches(loader(sampler, by_shape), 5, 0)
            rest = first(batches, start, state)
            assert differences([batch for batch, _ in rest], [batch for batch, _ in whole[start:]]) == []
            assert [known for _, known in rest] == [known for _, known in whole[start:]]
            read = [index for batch, _ in rest for index in batch[:, 0].tolist()]
            assert batches.loader.dataset.read[:len(read)] == read, 'no sample before is read'


def test_workers_change_nothing():
    """Beside them, batches that they have prepared ahead, and what the training draws."""
    whole = [batch for batch, _ in first(Batches(loader('shuffled'), 5, 0), 0)]
    assert len({value for batch in whole for value in batch[:, 1:].flatten().tolist()}) == 3 * 23
    states = generator_states()
    for start in (0, 2):
        rest = [batch for batch, _ in first(Batches(loader('shuffled', workers=2), 5, 0), start)]
        assert differences(rest, whole[start:]) == []
    assert differences(states, generator_states()) == []


def test_a_worker_outlives_a_signal_from_its_first_moment_on():
    """Slurm and torchrun send SIGTERM to the workers too: one comes here before anything of ours runs in them."""
    begin = signal_handling._set_worker_signal_handlers

    def signalled() -> None:
        begin()
        os.kill(os.getpid(), signal.SIGTERM)

    with mock.patch.object(signal_handling, '_set_worker_signal_handlers', signalled):
        assert len(first(Batches(loader('shuffled', workers=2), 5, 0), 0)) == 6
        validating = loader('shuffled', workers=1)
        make_signal_safe(validating)
        assert len(list(validating)) == 6


@pytest.mark.parametrize('place', [dict(seed=6), dict(rank=1), dict(epoch=1)])
def test_other_places_draw_other_numbers(place: dict):
    def drawn(seed: int = 5, rank: int = 0, epoch: int = 0) -> list:
        return next(iter(Batches(loader('in order'), seed, rank).iterate(epoch)))[:, 1:].flatten().tolist()

    assert drawn() == drawn() and not {*drawn()} & {*drawn(**place)}


def test_several_processes_share_an_endless_order():
    def sampler(rank: int) -> InfiniteSampler:
        sampler = InfiniteSampler(Numbers(7), seed=3)
        sampler.rank, sampler.world_size = rank, 3
        return sampler

    for rank in range(3):
        known = list(islice(iter(sampler(rank)), 60))
        for start in (0, 1, 5, 14):
            order = Order(DataLoader(Numbers(7), sampler=sampler(rank), batch_size=2), start)
            assert [i for batch in islice(iter(order), 6) for i in batch] == known[2 * start:2 * start + 12]


def test_samplers_without_an_end_are_known():
    data = Numbers()
    data.datasets = [data, data]
    assert is_endless(loader('endless')) and not is_endless(loader('shuffled', by_shape=True))
    assert hasattr(MultiSourceSampler, '_infinite_indices')


def test_generators_go_back_and_streams_go_on():
    def draw() -> list[float]:
        return [random.random(), random.gauss(0, 1), np.random.rand(), np.random.randn(), torch.rand(()).item()]

    states = generator_states()
    stream = Stream(1)
    with stream:
        one = draw()
    with stream:
        two = draw()
    outside = draw()
    restore_generators(states)
    assert draw() == outside
    with Stream(1):
        assert draw() + draw() == one + two
