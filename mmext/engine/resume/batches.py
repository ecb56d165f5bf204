"""Batches of a loader from any position in an epoch, independent of the workers and of what was read before."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from mmext.engine.resume.generators import Stream, seed_for
from mmext.engine.resume.order import Order
from mmext.engine.resume.workers import SignalSafeLoader, WorkerInit


class Batches:
    """Reads the batches of a loader, each with its own random numbers.

    The random numbers of transforms are a function of (seed, epoch, rank, batch). They do not depend on the number of
    workers, on how far these have prefetched, or on where the training was resumed. Samplers draw from a stream that
    depends on (seed, epoch) and is the same in all processes. The global generators of the training are not used.

    Args:
        loader: the loader that the config describes. Workers are started anew for each epoch.
        seed: the seed of the run.
        rank: the rank of this process.

    Attributes:
        state: the sampler state after the last batch, see ``order.Order.state``.
    """

    def __init__(self, loader: DataLoader, seed: int, rank: int) -> None:
        self.loader = loader
        self.seed = seed
        self.rank = rank
        self.state: dict | None = None

    def iterate(self, epoch: int, start: int = 0, state: dict | None = None) -> Generator[Any, None, None]:
        """Yields the batches of an epoch from number ``start`` on; samples of skipped batches are not read.

        Args:
            epoch: the epoch that the samplers are set to.
            start: the number of batches to skip.
            state: the value of ``self.state`` after the last skipped batch; None if it is unknown.
        """
        self.state = state
        states: deque[dict | None] = deque()
        for batch in self.reader(self.ordered(epoch, start, state, states)):
            self.state = states.popleft()
            yield batch

    def ordered(self, epoch: int, start: int, state: dict | None, states: deque) -> Iterator[tuple[int, object]]:
        """Yields (seed, indices) of each batch, and appends the sampler state after it to ``states``."""
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
        """A loader with the settings of ``self.loader`` that reads the given indices with the given seeds."""
        own = self.loader
        return SignalSafeLoader(
            Seeded(own.dataset, own.collate_fn, own.batch_sampler is not None), batch_size=None, sampler=ordered,
            collate_fn=identity, num_workers=own.num_workers, pin_memory=own.pin_memory, timeout=own.timeout,
            worker_init_fn=WorkerInit(own.worker_init_fn),
            multiprocessing_context=own.multiprocessing_context, prefetch_factor=own.prefetch_factor,
            generator=torch.Generator())


class Seeded(Dataset):
    """A data set whose index is (seed, indices), and whose item is a collated batch.

    Args:
        dataset: the data set with the samples.
        collate: makes a batch from a list of samples.
        batched: whether ``indices`` is a list; otherwise it is one index.
    """

    def __init__(self, dataset: Dataset, collate: Callable, batched: bool) -> None:
        self.dataset = dataset
        self.collate = collate
        self.batched = batched

    def __getitem__(self, request: tuple[int, Any]) -> object:
        seed, index = request
        fetch_all = getattr(self.dataset, '__getitems__', None)
        with Stream(seed):
            if not self.batched:
                samples = self.dataset[index]
            elif fetch_all:
                samples = fetch_all(index)
            else:
                samples = [self.dataset[i] for i in index]
            return self.collate(samples)


def identity(batch: object) -> object:
    """Returns its argument; the ``collate_fn`` of a loader whose data set makes whole batches."""
    return batch
