"""What feeds training: the loader, the time a step waits for it, and each transform of its pipeline."""

from __future__ import annotations

import contextlib
import copy
import io
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import cv2
import numpy as np
import torch
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from torch.utils.data import DataLoader, Dataset, Sampler

from mmext.benchmark.steps import PARTS, TrainingStep
from mmext.benchmark.subject import Subject
from mmext.benchmark.timing import Clock, Stopwatch, seconds_each
from mmext.errors import UserError

T = TypeVar('T')
DECODES = re.compile(r'LoadImage|Decode|OpenVideo|(Decord|PyAV|OpenCV|PIMS)Init')


class EndlessSampler(Sampler):
    """Every sample once in random order, and again; each iteration anew, unlike mmengine's InfiniteSampler."""

    def __init__(self, dataset: Dataset, seed: int = 0) -> None:
        self.size = len(dataset)
        self.seed = seed

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng(self.seed)
        while True:
            yield from rng.permutation(self.size).tolist()


def endless_loader(subject: Subject, batch: int) -> DataLoader:
    """The config's training loader, drawing at random without an end.

    Args:
        subject: whose config.
        batch: samples it gives at once.

    Raises:
        UserError: the config has no training data, they are not there, or are not of the subject's shape.
    """
    config = copy.deepcopy(subject.config.get('train_dataloader'))
    if not config:
        raise UserError(f'{subject.spec.path}: no train_dataloader')
    if not subject.fed_alike:
        raise UserError(f'{subject.spec.path}: its training pipeline makes other samples than --size and --frames ask')
    config.batch_size, config.sampler = batch, dict(type=EndlessSampler)
    for key in ('batch_sampler', 'num_batch_per_epoch', 'drop_last', 'persistent_workers'):
        config.pop(key, None)
    try:
        with DefaultScope.overwrite_default_scope(subject.scope):
            loader = quietly(partial(Runner.build_dataloader, config, seed=0))
    except OSError as error:
        raise UserError(f'{subject.spec.path}: its training data are not there ({error}); give --data-root') from None
    if not len(loader.dataset):
        raise UserError(f'{subject.spec.path}: its training set is empty')
    return loader


def loaders_of(subjects: Sequence[Subject], batch: int) -> list[DataLoader | UserError]:
    """Each subject's ``endless_loader``, the same one where they are fed alike, or why there is none."""
    found: dict[str, DataLoader | UserError] = {}
    for subject in subjects:
        key = str(subject.config.get('train_dataloader'))
        if key not in found:
            try:
                found[key] = endless_loader(subject, batch)
            except UserError as error:
                found[key] = error
    return [found[str(subject.config.get('train_dataloader'))] for subject in subjects]


def quietly(work: Callable[[], T]) -> T:
    """Without what pycocotools prints."""
    with contextlib.redirect_stdout(io.StringIO()):
        return work()


def loading(loader: DataLoader, batches: int, warmup: int, clock: Clock) -> list[float]:
    """Seconds of each batch when nothing else is done than taking them.

    Args:
        loader: of ``endless_loader``.
        batches: to be timed.
        warmup: batches before.
    """
    next_batch = taking(loader)
    for _ in range(warmup):
        next_batch()
    return seconds_each(next_batch, clock, batches)


def waiting(step: TrainingStep, loader: DataLoader, steps: int, warmup: int) -> dict[str, float]:
    """A real training loop: mean seconds of a step's parts, of the wait for its batch before them, and its share.

    Nothing waits for a GPU between two steps, so that loading goes on beside it, as in training.
    """
    next_batch = taking(loader)
    watches = []
    for _ in range(warmup + steps):
        watches.append(Stopwatch(step.setup.device))
        watches[-1].mark()
        step(next_batch(), watches[-1])
    laps = np.mean([watch.laps() for watch in watches[warmup:]], 0)
    parts = dict(zip(('data', *PARTS), map(float, laps)))
    return dict(parts, step=float(laps.sum()), waiting_share=float(laps[0] / laps.sum()))


def taking(loader: DataLoader) -> Callable[[], dict]:
    """A function that gives the next batch; the workers end when nobody holds it any more.

    As many batches as the workers prepare in advance are already taken: they would come quicker than all others.
    """
    iterator = iter(loader)
    for _ in range(loader.num_workers * (loader.prefetch_factor or 0)):
        next(iterator)
    return partial(next, iterator)


class Timed:
    """A transform that notes how long it takes."""

    def __init__(self, transform: Callable, clock: Clock) -> None:
        self.transform = transform
        self.clock = clock
        self.seconds = 0.0

    def __call__(self, data: dict) -> dict | None:
        started = self.clock()
        data = self.transform(data)
        self.seconds += self.clock() - started
        return data


def transforms(dataset: Dataset, samples: int, batch: int, clock: Clock, seed: int = 0) -> list[dict]:
    """Times each transform of a data set's pipeline, one thread, in this process.

    Args:
        dataset: as a loader has it, wrapped in others or not.
        samples: how many are drawn at random.
        batch: of a data set that transforms whole batches.
        clock: seconds.
        seed: of what is drawn, and of the transforms' randomness.

    Returns:
        dict(transform, kind, seconds (of one sample), share) of each, in order; first what comes before them all,
        called 'data set' and, as the rest is, of the kind 'decode', 'augment' or 'other'.
    """
    inner = dataset
    while not hasattr(inner, 'pipeline') and hasattr(inner, 'dataset'):
        inner = inner.dataset
    if not getattr(getattr(inner, 'pipeline', None), 'transforms', None):
        return []
    whole = hasattr(inner, '__getitems__')
    samples = -(-samples // batch) * batch if whole else samples
    rng = np.random.default_rng(seed)
    indices = rng.integers(len(inner), size=samples).tolist()
    originals = inner.pipeline.transforms
    timed = inner.pipeline.transforms = [Timed(transform, clock) for transform in originals]
    np.random.seed(seed)
    try:
        with one_thread():
            draw(inner, indices[:batch], batch, whole)  # the first opens files and fills caches
            for transform in timed:
                transform.seconds = 0.0
            started = clock()
            draw(inner, indices, batch, whole)
            total = clock() - started
    finally:
        inner.pipeline.transforms = originals
    names = [type(transform).__name__ for transform in originals]
    seconds = [transform.seconds for transform in timed]
    rows = [('data set', 'other', total - sum(seconds)), *zip(names, map(kind_of, names), seconds)]
    return [dict(transform=name, kind=kind, seconds=spent / samples, share=spent / total)
            for name, kind, spent in rows]


def draw(dataset: Dataset, indices: Sequence[int], batch: int, whole: bool) -> None:
    if whole:
        for i in range(0, len(indices), batch):
            dataset.__getitems__(indices[i:i + batch])
    else:
        for i in indices:
            dataset[i]


def kind_of(name: str) -> str:
    """What a transform does: 'decode', 'augment', or 'other' (annotations, sampling, packing)."""
    if DECODES.search(name):
        return 'decode'
    return 'other' if re.search(r'^Load|^Pack|Sample|^Format|^Collect', name) else 'augment'


def rate(rows: Sequence[dict], kind: str) -> float | None:
    """Samples a second of all transforms of a kind together; None where there is none."""
    seconds = sum(row['seconds'] for row in rows if row['kind'] == kind)
    return 1 / seconds if seconds else None


@contextmanager
def one_thread() -> Iterator[None]:
    """As in a loader's worker."""
    threads, opencv = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        cv2.setNumThreads(opencv)
