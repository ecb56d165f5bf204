"""Measures data loading: the loader, the time that a training step waits for it, and each transform."""

from __future__ import annotations

import contextlib
import copy
import io
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import cv2
import numpy as np
import torch
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from torch.utils.data import DataLoader, Dataset, Sampler

from mmext.analysis.subjects import Subject
from mmext.benchmark.steps import PARTS, TrainingStep
from mmext.benchmark.timing import Clock, Stopwatch, seconds_each
from mmext.engine.agreement import sample_count
from mmext.errors import UserError

T = TypeVar('T')
DECODES = re.compile(r'LoadImage|Decode|OpenVideo|(Decord|PyAV|OpenCV|PIMS)Init')


class EndlessSampler(Sampler):
    """Endless passes over the samples, each in a new random order. Every ``iter`` starts from the beginning, unlike
    that of mmengine's InfiniteSampler.
    """

    def __init__(self, dataset: Dataset, seed: int = 0) -> None:
        self.size = sample_count(dataset)
        self.seed = seed

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng(self.seed)
        while True:
            yield from rng.permutation(self.size).tolist()


def endless_loader(subject: Subject, batch: int) -> DataLoader:
    """The training loader of a model's config, with random order and without an end.

    Args:
        subject: the model.
        batch: samples in a batch.

    Raises:
        UserError: the config has no training data, they do not exist, or their samples have another shape than the
            model is measured with.
    """
    spec = subject.spec
    assert spec is not None and subject.config is not None
    config = copy.deepcopy(subject.config.get('train_dataloader'))
    if not config:
        raise UserError(f'{spec.path}: no train_dataloader')
    if not subject.is_fed_alike:
        raise UserError(f'{spec.path}: its training pipeline makes samples of another shape than --size and '
                        '--frames')
    config.batch_size, config.sampler = batch, dict(type=EndlessSampler)
    for key in ('batch_sampler', 'num_batch_per_epoch', 'drop_last', 'persistent_workers'):
        config.pop(key, None)
    try:
        with DefaultScope.overwrite_default_scope(subject.scope):
            loader = without_output(partial(Runner.build_dataloader, config, seed=0))
    except OSError as error:
        raise UserError(f'{spec.path}: its training data do not exist ({error}); give --data-root') from None
    if not sample_count(loader.dataset):
        raise UserError(f'{spec.path}: its training set is empty')
    return loader


def loaders_of(subjects: Sequence[Subject], batch: int) -> list[DataLoader | UserError]:
    """The ``endless_loader`` of each model, or the error that prevents it. Models with the same data share one."""
    found: dict[str, DataLoader | UserError] = {}
    keys = [str((subject.config or {}).get('train_dataloader')) for subject in subjects]
    for subject, key in zip(subjects, keys):
        if key not in found:
            try:
                found[key] = endless_loader(subject, batch)
            except UserError as error:
                found[key] = error
    return [found[key] for key in keys]


def without_output(work: Callable[[], T]) -> T:
    """Calls a function and discards what it prints on stdout, as pycocotools does."""
    with contextlib.redirect_stdout(io.StringIO()):
        return work()


def measure_loading(loader: DataLoader, batches: int, warmup: int, clock: Clock) -> list[float]:
    """Seconds that each batch takes when nothing but loading is done.

    Args:
        loader: of ``endless_loader``.
        batches: how many are timed.
        warmup: how many are taken before.
        clock: returns seconds.
    """
    next_batch = batch_source(loader)
    for _ in range(warmup):
        next_batch()
    return seconds_each(next_batch, clock, batches)


def measure_waiting(step: TrainingStep, loader: DataLoader, steps: int, warmup: int) -> dict[str, float]:
    """Mean seconds of the parts of a step in a real training loop, of the wait for its batch, and the share of that.

    Steps are not synchronised with a GPU, so that batches are loaded while it computes, as in a training.
    """
    next_batch = batch_source(loader)
    watches = []
    for _ in range(warmup + steps):
        watches.append(Stopwatch(step.setup.device))
        watches[-1].mark()
        step(next_batch(), watches[-1])
    laps = np.mean([watch.laps() for watch in watches[warmup:]], 0)
    parts: dict[str, float] = dict(zip(('data', *PARTS), map(float, laps)))
    return dict(parts, step=float(laps.sum()), waiting_share=float(laps[0] / laps.sum()))


def batch_source(loader: DataLoader) -> Callable[[], dict]:
    """A function that returns the next batch. The workers of the loader end when it is deleted.

    As many batches as the workers prepare in advance have already been taken, because these come faster than others.
    """
    iterator = iter(loader)
    for _ in range(loader.num_workers * (loader.prefetch_factor or 0)):
        next(iterator)
    return partial(next, iterator)


class TimedTransform:
    """A transform that adds up the seconds it takes."""

    def __init__(self, transform: Callable, clock: Clock) -> None:
        self.transform = transform
        self.clock = clock
        self.seconds = 0.0

    def __call__(self, data: dict) -> dict | None:
        started = self.clock()
        data = self.transform(data)
        self.seconds += self.clock() - started
        return data


def measure_transforms(dataset: Dataset, samples: int, batch: int, clock: Clock, seed: int = 0) -> list[dict]:
    """Times each transform of a data set's pipeline in this process, with one thread.

    Args:
        dataset: a data set of a loader; it may be wrapped in others.
        samples: how many random samples are read.
        batch: batch size of a data set that transforms whole batches.
        clock: returns seconds.
        seed: of the choice of samples and of random transforms.

    Returns:
        A dict(transform, kind, seconds (per sample), share) for each transform, in order. The first entry, 'data set',
        is what is done before all of them. Kinds are 'decode', 'augment' and 'other'.
    """
    inner: Any = dataset  # torch's base class declares neither a pipeline nor a length
    while not hasattr(inner, 'pipeline') and hasattr(inner, 'dataset'):
        inner = inner.dataset
    if not getattr(getattr(inner, 'pipeline', None), 'transforms', None):
        return []
    whole = hasattr(inner, '__getitems__')
    samples = -(-samples // batch) * batch if whole else samples
    rng = np.random.default_rng(seed)
    indices = rng.integers(len(inner), size=samples).tolist()
    originals = inner.pipeline.transforms
    timed = inner.pipeline.transforms = [TimedTransform(transform, clock) for transform in originals]
    np.random.seed(seed)
    try:
        with one_thread():
            read_samples(inner, indices[:batch], batch, whole)  # warm-up: opens files and fills caches
            for transform in timed:
                transform.seconds = 0.0
            started = clock()
            read_samples(inner, indices, batch, whole)
            total = clock() - started
    finally:
        inner.pipeline.transforms = originals
    names = [type(transform).__name__ for transform in originals]
    seconds = [transform.seconds for transform in timed]
    rows = [('data set', 'other', total - sum(seconds)), *zip(names, map(kind_of_transform, names), seconds)]
    return [dict(transform=name, kind=kind, seconds=spent / samples, share=spent / total)
            for name, kind, spent in rows]


def read_samples(dataset: Any, indices: Sequence[int], batch: int, whole: bool) -> None:
    """Reads samples by their indices, in batches if the data set transforms ``whole`` batches."""
    if whole:
        for i in range(0, len(indices), batch):
            dataset.__getitems__(indices[i:i + batch])
    else:
        for i in indices:
            dataset[i]


def kind_of_transform(name: str) -> str:
    """What a transform does: 'decode', 'augment', or 'other' (annotations, sampling, packing)."""
    if DECODES.search(name):
        return 'decode'
    return 'other' if re.search(r'^Load|^Pack|Sample|^Format|^Collect', name) else 'augment'


def rate(rows: Sequence[dict], kind: str) -> float | None:
    """Samples per second of all transforms of a kind together; None if there is no such transform."""
    seconds = sum(row['seconds'] for row in rows if row['kind'] == kind)
    return 1 / seconds if seconds else None


@contextmanager
def one_thread() -> Iterator[None]:
    """Limits torch and OpenCV to one thread, as in a worker of a loader."""
    threads, opencv = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        cv2.setNumThreads(opencv)
