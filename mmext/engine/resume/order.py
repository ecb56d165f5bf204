"""The order of a loader's batches from any position in an epoch, computed without reading samples."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Protocol, TypeGuard

import torch
from mmengine.dataset import InfiniteSampler
from torch.utils.data import BatchSampler, DataLoader, Sampler


class Remaining(Sampler):
    """A sampler that skips the first indices of another one.

    Args:
        sampler: the sampler of sample indices.
        start: the number of indices to skip.

    Attributes:
        drawn: the number of indices drawn from ``sampler`` so far, skipped ones included.
        ended: whether ``sampler`` is exhausted.
    """

    def __init__(self, sampler: Iterable, start: int) -> None:
        self.sampler = sampler
        self.drawn = start
        self.ended = False

    def __getattr__(self, name: str) -> Any:
        if name == 'sampler':  # the attribute does not exist yet during unpickling
            raise AttributeError(name)
        return getattr(self.sampler, name)

    def __iter__(self) -> Iterator:
        own = self.sampler
        exactly = type(own) is InfiniteSampler
        indices = infinite_from(own, self.drawn) if exactly else islice(own, self.drawn, None)
        for index in indices:
            self.drawn += 1
            yield index
        self.ended = True


def infinite_from(sampler: InfiniteSampler, start: int) -> Iterator[int]:
    """The indices of mmengine's ``InfiniteSampler`` from number ``start`` on, skipping whole permutations at once."""
    generator = torch.Generator()
    generator.manual_seed(sampler.seed)

    def permutation() -> torch.Tensor:
        return torch.randperm(sampler.size, generator=generator) if sampler.shuffle else torch.arange(sampler.size)

    place = sampler.rank + start * sampler.world_size
    for _ in range(place // sampler.size if sampler.shuffle else 0):
        permutation()
    place %= sampler.size
    while True:
        chosen = permutation()[place::sampler.world_size].tolist()
        yield from chosen
        place += len(chosen) * sampler.world_size - sampler.size


class ShapeSampler(Protocol):
    """The interface of mmdet's ``AspectRatioBatchSampler``, which the engine does not import."""

    sampler: Any
    batch_size: int
    _aspect_ratio_buckets: list[list[int]]

    def __iter__(self) -> Iterator[list[int]]: ...


def groups_by_shape(sampler: object) -> TypeGuard[ShapeSampler]:
    """Whether a sampler is mmdet's ``AspectRatioBatchSampler``, which separates wide and tall images."""
    return type(sampler).__name__ == 'AspectRatioBatchSampler' and hasattr(sampler, '_aspect_ratio_buckets')


class Order:
    """The indices that a loader requests from its data set, batch by batch, from a given batch on.

    torch's ``BatchSampler`` and mmengine's ``InfiniteSampler`` start directly at the requested batch. mmdet's
    ``AspectRatioBatchSampler``, which looks up the size of every image, starts at a state returned by ``state``. Any
    other batch sampler is iterated from its beginning, and the first batches are discarded.

    Args:
        loader: the loader, whose samplers are set to the epoch.
        start: the number of batches to skip.
        state: what ``state`` returned after the last skipped batch, or None.
    """

    def __init__(self, loader: DataLoader, start: int, state: dict | None = None) -> None:
        own, self.skipped = loader.batch_sampler, 0
        self.batches: Iterable
        if own is None:
            self.batches = Remaining(loader.sampler, start)
        elif type(own) is BatchSampler:
            self.batches = plain = copy.copy(own)
            plain.sampler = Remaining(own.sampler, start * own.batch_size)
        elif groups_by_shape(own):
            self.batches = grouped = copy.copy(own)
            self.skipped = 0 if state else start
            grouped.sampler = Remaining(own.sampler, state['drawn'] if state else 0)
            grouped._aspect_ratio_buckets = [list(map(int, part)) for part in state['waiting']] if state else [[], []]
        else:
            self.batches, self.skipped = own, start

    def __iter__(self) -> Iterator:
        return islice(iter(self.batches), self.skipped, None)

    def state(self) -> dict | None:
        """The state needed to continue after the last batch; None if the number of the batch is enough."""
        if not groups_by_shape(self.batches) or self.batches.sampler.ended:
            return None
        waiting = [[] if len(part) == self.batches.batch_size else list(part)
                   for part in self.batches._aspect_ratio_buckets]
        return dict(drawn=self.batches.sampler.drawn, waiting=waiting)


def is_endless(loader: DataLoader) -> bool:
    """Whether a loader never ends, as with mmengine's ``InfiniteSampler`` and mmdet's multi-source samplers."""
    sampler = getattr(loader.batch_sampler, 'sampler', loader.sampler)
    return hasattr(sampler, '_infinite_indices')
