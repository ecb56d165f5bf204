"""Speed: training steps from memory and from files, their parts, their synchronisations and their memory."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from functools import partial

import torch
from mmengine.registry import DefaultScope

from benchmarks.gpu_check.case import ROOT, Case, Figures, Place, require
from benchmarks.gpu_check.data import data
from mmext.analysis.subjects import Spec, Subject, from_spec
from mmext.benchmark import memory
from mmext.benchmark.compare import Comparison, add_shares
from mmext.benchmark.data import loaders_of
from mmext.benchmark.machine import peak_of
from mmext.benchmark.plan import NUMBER_FORMATS, Plan
from mmext.benchmark.setup import Setup
from mmext.benchmark.steps import PARTS, TrainingStep
from mmext.benchmark.timing import Stopwatch
from mmext.errors import UserError

WAITING_CALLS = ('cudaStreamSynchronize', 'cudaDeviceSynchronize', 'cudaEventSynchronize')
WAITING_OPERATORS = ('aten::_local_scalar_dense', 'aten::nonzero')  # whose result a processor waits for
SSD = ('ssd300_resnet50_coco', None), ('ssd300_iresnet50_coco', None)
CLASSIFIERS = tuple(('classification/iresnet_imagenet', name) for name in ('resnet50', 'iresnet50', 'iresgroup50'))
RECOGNIZERS = ('resnet3d50_kinetics400', None), ('iresnet3d50_kinetics400', None)
MOTION = ('demo/iresnet3d18_motion', None),
Models = Sequence[tuple[str, str | None]]


def setup_of(place: Place, models: Models, compile: str | None = None) -> Setup:
    """bf16, and the memory format that a training takes; on a processor fp32."""
    clips = models in (RECOGNIZERS, MOTION)
    setup = Setup(place.device, 'bf16' if place.device == 'cuda' else 'fp32',
                  'contiguous' if clips else 'channels_last', None if place.quick else compile)
    setup.check()
    setup.apply()
    return setup


def specs_of(place: Place, models: Models, data_root: str | None = None) -> list[Spec]:
    """The models; small ones of small inputs in a quick check."""
    made_up = data_root is not None and models != MOTION
    options = {'train_dataloader.num_workers': 0 if place.quick else min(16, len(os.sched_getaffinity(0)))}
    common = dict(data_root=data_root, classes='auto' if made_up else None, options=options if data_root else None)
    if place.quick and not data_root:
        fixed = models[0][0].startswith('ssd')  # the size belongs to its network
        common.update({} if fixed else dict(size=(64, 64)), frames=4 if models == RECOGNIZERS else None)
    small = 'iresnet18' if place.quick and models != MOTION else None
    return [Spec(str(ROOT / 'configs' / f'{config}.py'), small or name, **common) for config, name in models]


def train(models: Models, batch: int, place: Place, *, task: str | None = None, compile: str | None = None) -> Figures:
    """Training steps of models, alternately: samples a second, shares of the parts, waits, peak memory.

    Args:
        models: configs and networks.
        batch: samples of a step.
        place: of the check.
        task: of made-up files that are loaded meanwhile; None for inputs in memory alone.
        compile: a mode of torch.compile.
    """
    batch = 2 if place.quick else batch
    setup = setup_of(place, models, compile)
    specs = specs_of(place, models, str(data(place, task, full=True)) if task else None)
    subjects = [from_spec(spec, name or config) for spec, (config, name) in zip(specs, models)]
    loaders = loaders_of(subjects, batch) if task else [None] * len(subjects)
    for loader in loaders:
        if isinstance(loader, UserError):
            raise loader
    plan = Plan(('train', ), train_batch=batch, repeats=1 if place.quick else 20, warmup=1 if place.quick else 5)
    records = Comparison(subjects, setup, plan, loaders, quiet=True).measure()
    figures: dict[str, object] = {}
    for spec, subject, record in zip(specs, subjects, records):
        found = record['train']
        if 'error' in found:
            figures[subject.name] = found['error']
            continue
        figures[subject.name] = told(found)
        if not task:
            peak = next(iter(memory.measured(spec, setup, True, [batch])))
            figures[subject.name] += f', {waits(subject, setup, batch)}, ' + (
                f'peak {peak / 2**30:.2f} GiB' if peak else 'out of memory')
    return figures


def told(found: dict) -> str:
    """'812 samples/s: forward 34 %, backward 61 %, optimiser 5 %; with data 790, waiting 1 %'"""
    whole = sum(found[part] for part in PARTS)
    text = f'{found["samples_per_s"]:.4g} samples/s: ' + ', '.join(
        f'{part} {found[part] / whole:.0%}' for part in PARTS)
    with_data = found.get('with_data')
    if with_data:
        text += f'; with data {found["batch"] / with_data["step"]:.4g}, waiting {with_data["waiting_share"]:.0%}'
    return text


def waits(subject: Subject, setup: Setup, batch: int) -> str:
    """How often the processor waits for the device in a training step, as torch's profiler counts it."""
    step, made_up = TrainingStep(subject, setup), subject.batch(batch)
    with DefaultScope.overwrite_default_scope(subject.scope):
        for _ in range(2):
            step(made_up, Stopwatch(setup.device))
        setup.synchronize()
        activities = [torch.profiler.ProfilerActivity.CPU]
        activities += [torch.profiler.ProfilerActivity.CUDA] if setup.device == 'cuda' else []
        with torch.profiler.profile(activities=activities) as profile:
            step(made_up, Stopwatch(setup.device))
    count = {event.key: event.count for event in profile.key_averages()}
    calls = sum(count.get(name, 0) for name in WAITING_CALLS)
    operators = sum(count.get(name, 0) for name in WAITING_OPERATORS)
    return f'{calls} synchronisations, {operators} operators that wait'


def share_of_peak(place: Place) -> Figures:
    """Inference of iResNet-50 in each number format: no share of the machine's peak may exceed 1."""
    formats = NUMBER_FORMATS if place.device == 'cuda' else ('fp32', )
    figures: dict[str, object] = {}
    for dtype in formats:
        setup = dataclasses.replace(setup_of(place, CLASSIFIERS), dtype=dtype)
        setup.apply()
        batch = 2 if place.quick else 128
        plan = Plan(('throughput', ), (batch, ), repeats=1 if place.quick else 10, warmup=1 if place.quick else 5)
        subject = from_spec(specs_of(place, CLASSIFIERS[1:2])[0])
        records = Comparison([subject], setup, plan, quiet=True).measure()
        add_shares(records, peak_of(setup, 0.05 if place.quick else 0.3))
        found = records[0]['throughput'][0]
        require('error' not in found, f'{dtype}: {found.get("error")}')
        figures[dtype] = f'{found["samples_per_s"]:.4g} images/s, {found["share_of_peak"]:.0%} of the peak'
        require(place.device == 'cpu' or found['share_of_peak'] < 1, f'{dtype}: {figures[dtype]}')
    return figures


def search(place: Place) -> Figures:
    """Faster R-CNN on images of varied sizes, with and without cuDNN's search for the fastest algorithm of a size."""
    config = (('faster_rcnn_iresnet50_fpn_coco', None), )
    figures: dict[str, object] = {}
    for searching in (False, True):
        setup = dataclasses.replace(setup_of(place, config), cudnn_benchmark=searching)
        setup.apply()
        spec = specs_of(place, config)[0]
        steps = [from_spec(dataclasses.replace(spec, size=size)) for size in sizes(place)]
        step = TrainingStep(steps[0], setup)
        seconds = [sum(step.laps(subject.batch(2))) for _ in range(2) for subject in steps]
        half = len(steps)
        figures['with the search' if searching else 'without'] = (
            f'{sum(seconds[:half]) / half:.3g} s for a new size, {sum(seconds[half:]) / half:.3g} s for a known one')
    return figures


def sizes(place: Place) -> list[tuple[int, int]]:
    """Padded sizes of batches, as mmdet's pipeline for COCO gives them."""
    return [(64, 64), (64, 96)] if place.quick else [(800, width) for width in range(800, 1344, 64)]


CASES = [
    Case('speed', 'SSD300, batch 32, from memory', partial(train, SSD, 32), 60, 400),
    Case('speed', 'SSD300, batch 128, from memory', partial(train, SSD, 128), 75, 400),
    Case('speed', 'SSD300, batch 32, from JPEGs', partial(train, SSD, 32, task='detection'), 45, 400),
    Case('speed', 'classifiers, batch 128, from memory', partial(train, CLASSIFIERS, 128), 60, 400),
    Case('speed', 'recognizers, batch 8, from memory', partial(train, RECOGNIZERS, 8), 60, 400),
    Case('speed', 'iResNet-50, share of the peak of each number format', share_of_peak, 45, 300),
    Case('speed', 'iResNet-50, batch 128, from JPEGs', partial(train, CLASSIFIERS[1:2], 128, task='classification'),
         45, 400),
    Case('speed', 'SSD300, batch 32, compiled', partial(train, SSD[1:], 32, compile='default'), 90, 500),
    Case('speed', 'recognizer of the demo, batch 16, from videos', partial(train, MOTION, 16, task='recognition'),
         30, 300),
    Case('speed', "Faster R-CNN, cuDNN's search", search, 45, 300),
]
