"""A loader's batches from any place of an epoch, the same whatever process reads them and whatever was read before."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from mmext.engine.resume.generators import Stream, seed_for
from mmext.engine.resume.order import Order
from mmext.engine.resume.workers import PoliteLoader, Worker


class Batches:
    """Reads a loader's batches, each with random numbers of its own.

    What transforms draw is a function of (seed, epoch, rank, batch): the number of workers, what they have prepared
    ahead, and the place where a training was resumed change nothing. Samplers draw from a stream of (seed, epoch),
    the same in all processes. So a training's own generators are never touched.

    Args:
        loader: as the config describes it. Workers are started anew for each epoch.
        seed: the run's.
        rank: of this process.
    """

    def __init__(self, loader: DataLoader, seed: int, rank: int) -> None:
        self.loader = loader
        self.seed = seed
        self.rank = rank
        self.state: dict | None = None

    def iterate(self, epoch: int, start: int = 0, state: dict | None = None) -> Generator[Any, None, None]:
        """The batches of an epoch without the first ones, of which no sample is read.

        Args:
            epoch: what the samplers were set to.
            start: how many batches are left out.
            state: ``self.state`` as it was after the last of them; None if it is not known.
        """
        self.state = state
        states: deque[dict | None] = deque()
        for batch in self.reader(self.ordered(epoch, start, state, states)):
            self.state = states.popleft()
            yield batch

    def ordered(self, epoch: int, start: int, state: dict | None, states: deque) -> Iterator[tuple[int, object]]:
        """(seed, indices) of each batch; notes the states of the order beside them."""
        draws = Stream(seed_for(self.seed, epoch))
        order = Order(self.loader, start, state)
        indices, number = iter(order), start
        while True:
            with draws:
                chosen = next(indices, None)
            if chosen is None:
                return
            states.append(order.state())
            yield seed_for(self.seed, epoch, self.rank, number), chosen
            number += 1

    def reader(self, ordered: Iterator[tuple[int, object]]) -> DataLoader:
        """A loader like the one that is there, which reads what it is told with the seed that it is told."""
        own = self.loader
        return PoliteLoader(
            Seeded(own.dataset, own.collate_fn, own.batch_sampler is not None), batch_size=None, sampler=ordered,
            collate_fn=as_it_is, num_workers=own.num_workers, pin_memory=own.pin_memory, timeout=own.timeout,
            worker_init_fn=Worker(own.worker_init_fn),
            multiprocessing_context=own.multiprocessing_context, prefetch_factor=own.prefetch_factor,
            generator=torch.Generator())


class Seeded(Dataset):
    """A data set that is asked for (seed, indices), and gives a whole batch.

    Args:
        dataset: whose samples are read.
        collate: makes a batch of them.
        batched: whether indices are several.
    """

    def __init__(self, dataset: Dataset, collate: Callable, batched: bool) -> None:
        self.dataset = dataset
        self.collate = collate
        self.batched = batched

    def __getitem__(self, asked: tuple[int, Any]) -> object:
        seed, index = asked
        fetch_all = getattr(self.dataset, '__getitems__', None)
        with Stream(seed):
            if not self.batched:
                samples = self.dataset[index]
            elif fetch_all:
                samples = fetch_all(index)
            else:
                samples = [self.dataset[i] for i in index]
            return self.collate(samples)


def as_it_is(batch: object) -> object:
    return batch
