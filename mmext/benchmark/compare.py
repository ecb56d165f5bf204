"""Measures several models alternately, and their ratios to the first one."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from tqdm import tqdm

from mmext.analysis.subjects import Subject
from mmext.benchmark import data, memory
from mmext.benchmark.machine import share_of_peak
from mmext.benchmark.plan import LATENCY_CALLS, Plan
from mmext.benchmark.setup import Setup, out_of_memory
from mmext.benchmark.steps import PARTS, Inference, TrainingStep, network, warmed
from mmext.benchmark.timing import Clock, clock_of, in_turn, percentiles, ratio, seconds_each, seconds_mean

T = TypeVar('T')
OUT_OF_MEMORY = 'out of memory'


class Comparison:
    """Measures models side by side.

    Args:
        subjects: the models; the others are compared with the first.
        setup: how all of them are run; it has been applied.
        plan: what is measured.
        loaders: the training loader of each model, or None where loading is not measured.
        clock: returns seconds once the device has finished its work; by default the clock of the setup's device.
        quiet: show no progress bars.
    """

    def __init__(self, subjects: Sequence[Subject], setup: Setup, plan: Plan, loaders: Sequence | None = None,
                 clock: Clock | None = None, quiet: bool = False) -> None:
        self.subjects = subjects
        self.setup = setup
        self.plan = plan
        self.loaders = loaders or [None] * len(subjects)
        self.clock = clock or clock_of(setup)
        self.quiet = quiet

    def measure(self) -> list[dict]:
        """One record for each model: its ``facts``, and under the name of each part the result of that part."""
        records = [self.facts(subject) for subject in self.subjects]
        # Data come first, because they may reveal mistakes, and memory before anything else is on a GPU.
        measurements = dict(data=self.data, memory=self.memory, latency=self.latency, throughput=self.throughput,
                            train=self.train)
        for part, measurement in measurements.items():
            if part in self.plan.parts:
                for record, found in zip(records, measurement()):
                    record[part] = found
                self.tidy()
        return records

    def facts(self, subject: Subject) -> dict:
        """What a subject is: names, input shape, parameters and multiply-accumulates of one sample."""
        spec, counted = subject.spec, subject.complexity()
        assert spec is not None
        return dict(name=subject.name, config=spec.path, backbone=spec.backbone,
                    kind=subject.task.model_kind, input=list(subject.shape), params=counted.params, macs=counted.macs)

    def memory(self) -> list[dict]:
        """Peak memory in bytes, of inference with each batch size and of a training step."""
        found = []
        for subject in self.bar('memory', self.subjects):
            assert subject.spec is not None
            peaks = memory.peaks(subject.spec, self.setup, False, self.plan.batches)
            rows = [dict(batch=batch, bytes=peak) for batch, peak in zip(self.plan.batches, peaks)]
            record: dict[str, object] = dict(inference=rows)
            if 'train' in self.plan.parts:
                batch = self.plan.train_batch
                record['train'] = dict(batch=batch, bytes=memory.peaks(subject.spec, self.setup, True, [batch])[0])
            found.append(record)
        return found

    def latency(self) -> list[dict]:
        """Seconds of single calls with one sample. Ratios are between the medians of the turns."""
        calls, = self.inferences([1])
        turns = self.in_turn('latency', [call and partial(seconds_each, call, self.clock, LATENCY_CALLS)
                                         for call in calls])
        found = []
        for turn, against in self.beside_first(turns, lambda seconds: float(np.median(seconds))):
            found.append(dict(batch=1, error=OUT_OF_MEMORY) if turn is None else dict(
                batch=1, calls=LATENCY_CALLS * len(turn), **percentiles(sum(turn, [])), ratio=against, seconds=turn))
        return found

    def throughput(self) -> list[list[dict]]:
        """Samples per second with each batch size. Seconds are those of one call among calls that follow each other."""
        found: list[list[dict]] = [[] for _ in self.subjects]
        for batch, calls in zip(self.plan.batches, self.inferences(self.plan.batches)):
            turns = self.in_turn(f'throughput, batch {batch}', [call and self.row_of_calls(call) for call in calls])
            for rows, (turn, against) in zip(found, self.beside_first(turns)):
                if turn is None:
                    rows.append(dict(batch=batch, error=OUT_OF_MEMORY))
                    continue
                median = float(np.median(turn))
                rows.append(dict(batch=batch, median=median, samples_per_s=batch / median, ratio=against,
                                 seconds=turn))
        return found

    def train(self) -> list[dict]:
        """Seconds of a training step and its parts on synthetic batches, and of a loop over real data, if any."""
        batch = self.plan.train_batch
        steps, works = [], []
        for subject in self.subjects:
            made_up = subject.batch(batch)
            step = TrainingStep(subject, self.setup)
            work = partial(step.laps, made_up)
            ready = warmed(subject.name, work, self.setup, self.plan.warmup)
            if ready:
                step.settle(made_up)
            steps.append(step)
            works.append(work if ready else None)
        found = []
        turns = self.in_turn(f'training, batch {batch}', works)
        for (turn, against), step, loader in zip(self.beside_first(turns, sum), steps, self.loaders):
            if turn is None:
                found.append(dict(batch=batch, error=OUT_OF_MEMORY))
                continue
            median = float(np.median([sum(laps) for laps in turn]))
            parts = dict(zip(PARTS, map(float, np.median(turn, 0))))
            record = dict(batch=batch, median=median, samples_per_s=batch / median, **parts, ratio=against,
                          seconds=turn)
            if loader is not None:
                record['with_data'] = self.attempt(partial(data.measure_waiting, step, loader, self.plan.repeats,
                                                           self.plan.warmup))
            found.append(record)
        return found

    def data(self) -> list[dict | None]:
        """The loader without training, and its transforms; measured once for models that share a loader."""
        found: dict[int, dict | None] = {id(None): None}
        for loader in self.bar('data', self.loaders):
            if id(loader) not in found:
                found[id(loader)] = self.data_of(loader)
        return [found[id(loader)] for loader in self.loaders]

    def data_of(self, loader: torch.utils.data.DataLoader) -> dict:
        """The figures of one loader: batches a second, and the seconds of each transform of its data set."""
        batch = self.plan.train_batch
        seconds = data.measure_loading(loader, self.plan.repeats, self.plan.warmup, self.clock)
        rows = data.measure_transforms(loader.dataset, self.plan.samples, batch, self.clock)
        return dict(batch=batch, workers=loader.num_workers, median=float(np.median(seconds)),
                    samples_per_s=batch * len(seconds) / sum(seconds), seconds=seconds, transforms=rows,
                    decode_per_s=data.rate(rows, 'decode'), augment_per_s=data.rate(rows, 'augment'))

    def inferences(self, batches: Sequence[int]) -> Iterator[list[Inference | None]]:
        """For each batch size the calls of all models, after the warm-up; None for a model that runs out of memory."""
        models = [network(subject, self.setup) for subject in self.subjects]
        for batch in batches:
            calls = []
            for subject, model in zip(self.subjects, models):
                calls.append(self.attempt(partial(Inference, subject, model, self.setup, batch)))
                if calls[-1] and not warmed(subject.name, calls[-1], self.setup, self.plan.warmup):
                    calls[-1] = None
            yield calls
            self.tidy()

    def row_of_calls(self, call: Callable[[], object]) -> Callable[[], float]:
        """One turn: as many calls as are needed to last as long as the plan says; returns the seconds of a call."""
        once = seconds_mean(call, self.clock, 1)
        return partial(seconds_mean, call, self.clock, max(1, math.ceil(self.plan.turn / max(once, 1e-6))))

    def in_turn(self, title: str, works: Sequence[Callable[[], T] | None]) -> list[list[T] | None]:
        """The results of each work, one for each turn; None for a work that is None or runs out of memory."""
        there = [work for work in works if work]
        with self.bar(title, total=len(there) * self.plan.repeats) as bar:
            results = iter(in_turn([partial(self.attempt, work) for work in there], self.plan.repeats, bar.update))
        found: list[list[T] | None] = []
        for work in works:
            turns = next(results) if work else [None]
            done = [turn for turn in turns if turn is not None]
            found.append(done if len(done) == len(turns) else None)
        return found

    def beside_first(self, turns: Sequence[list[T] | None],
                     figure: Callable[[T], float] = float) -> list[tuple[list[T] | None, dict | None]]:
        """The turns of each model, with the ratio of their figures to those of the first model, if both have any."""
        first, *_ = turns
        return [(turn, ratio(list(map(figure, turn)), list(map(figure, first))) if turn and first else None)
                for turn in turns]

    def attempt(self, work: Callable[[], T]) -> T | None:
        """The result of some work, or None if it runs out of memory."""
        try:
            return work()
        except Exception as error:
            if not out_of_memory(error):
                raise
        self.tidy()
        return None

    def bar(self, title: str, items: Sequence | None = None, total: int | None = None) -> tqdm:
        """A progress bar, unless the comparison is quiet."""
        return tqdm(items, desc=title, total=total, leave=False, dynamic_ncols=True, disable=self.quiet)

    def tidy(self) -> None:
        """Frees what is no longer used, on a GPU too."""
        gc.collect()
        if self.setup.device == 'cuda':
            torch.cuda.empty_cache()


def add_shares(records: Sequence[dict], peak: float) -> None:
    """Adds to each throughput the share of the machine's peak (``peak_of``, in FLOP/s) that the model reaches."""
    for record in records:
        for row in record.get('throughput', []):
            if 'samples_per_s' in row:
                row['share_of_peak'] = share_of_peak(record['macs'], row['samples_per_s'], peak)
