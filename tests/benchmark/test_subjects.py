"""What is measured is what trains and infers: inputs, steps, loaders and memory of real configs, small."""

from __future__ import annotations

import copy
import mmap
import subprocess
from pathlib import Path

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope

from mmext.analysis.subjects import Spec, Subject, from_spec, subjects_of
from mmext.benchmark import data, memory
from mmext.benchmark.setup import Setup
from mmext.benchmark.steps import RATE, Inference, TrainingStep, network, warmed
from mmext.benchmark.timing import Stopwatch
from mmext.detection.task import OBJECTS
from mmext.errors import UserError
from mmext.samples import picture_size
from tests.benchmark.test_comparison import Clock

SSD = 'configs/ssd300_iresnet50_coco.py'
IMAGES = 'configs/classification/rir_cifar10.py'
CLIPS = 'configs/iresnet3d50_kinetics400.py'
SMALL = {'detector': Spec(SSD, 'iresnet18'), 'classifier': Spec(IMAGES, 'rir_resnet32', size=(16, 16)),
         'recognizer': Spec(CLIPS, 'iresnet18', size=(32, 32), frames=8)}
KINDS = pytest.mark.parametrize('kind', SMALL)


@pytest.fixture(scope='module')
def subjects() -> dict[str, Subject]:
    return {kind: from_spec(spec) for kind, spec in SMALL.items()}


@pytest.mark.parametrize(('path', 'kind', 'shape', 'classes'), [
    (SSD, 'detector', (3, 300, 300), 80), (IMAGES, 'classifier', (3, 32, 32), 10),
    ('configs/classification/iresnet_imagenet.py', 'classifier', (3, 224, 224), 1000),
    (CLIPS, 'recognizer', (1, 3, 16, 224, 224), 400)])
def test_a_config_says_what_its_model_takes(path: str, kind: str, shape: tuple, classes: int):
    subject = from_spec(Spec(path))
    assert (subject.task.model_kind, subject.shape, subject.num_classes) == (kind, shape, classes)
    assert subject.is_fed_alike
    assert not from_spec(Spec(path, size=(64, 32))).is_fed_alike


@pytest.mark.parametrize(('steps', 'size'), [
    ([dict(type='Resize', scale=(320, 240))], (240, 320)),
    ([dict(type='Resize', scale=(320, 240), keep_ratio=True)], None),
    ([dict(type='Resize', scale=(-1, 256), keep_ratio=True), dict(type='CenterCrop', crop_size=224)], (224, 224)),
    ([dict(type='Resize', scale=(300, 300)), dict(type='MinIoURandomCrop')], None),
    ([dict(type='mmext.BatchRandomCrop', size=32, pad_to=40), dict(type='mmext.BatchRandomFlip')], (32, 32)),
    ([dict(type='RandomCrop', crop_size=(0.5, 0.5))], None), ([dict(type='RandomFlip')], None)])
def test_the_size_that_leaves_a_pipeline(steps: list[dict], size: tuple | None):
    assert picture_size(steps) == size


@KINDS
def test_made_up_targets_are_like_real_ones(subjects: dict[str, Subject], kind: str):
    subject = subjects[kind]
    batch = subject.batch(5)
    again = subject.task.made_up_batch(subject.shape, 5, subject.num_classes)
    inputs = torch.stack(list(batch['inputs']))
    assert torch.equal(inputs, torch.stack(list(again['inputs'])))
    assert (inputs.dtype, inputs.shape) == (torch.uint8, (5, *subject.shape))
    labels = batch['labels'] if kind == 'classifier' else torch.cat([
        sample.gt_instances.labels if kind == 'detector' else sample.gt_label for sample in batch['data_samples']])
    assert len(labels) == (5 * OBJECTS if kind == 'detector' else 5)
    assert labels.min() >= 0
    assert len(labels.unique()) > 1
    assert labels.max() < subject.num_classes
    for sample in batch['data_samples'] if kind == 'detector' else []:
        x1, y1, x2, y2 = sample.gt_instances.bboxes.T
        assert (x1 >= 0).all() and (x1 + 1 < x2).all() and (x2 <= 300).all()
        assert (y1 >= 0).all() and (y1 + 1 < y2).all() and (y2 <= 300).all()


@KINDS
def test_a_step_is_mmengines(subjects: dict[str, Subject], kind: str):
    """Beside the model's own train_step, from the same weights at the same rate; twice where that is quick."""
    subject, batch = subjects[kind], subjects[kind].batch(2)
    step = TrainingStep(subject, Setup())
    reference = copy.deepcopy(step.model)
    before = [parameter.detach().clone() for parameter in reference.backbone.parameters()]
    config = copy.deepcopy(subject.config.optim_wrapper)
    config.optimizer.lr = RATE
    with DefaultScope.overwrite_default_scope(subject.scope):
        optimizer = build_optim_wrapper(reference, config)
    for _ in range(2 if kind == 'classifier' else 1):
        laps = step.laps(batch)
        reference.train_step(batch, optimizer)
    assert len(laps) == 3
    assert min(laps) > 0
    for name, ours in step.model.state_dict().items():
        assert torch.equal(ours, reference.state_dict()[name]), name
    assert not any(torch.equal(old, new) for old, new in zip(before, step.model.backbone.parameters()) if old.ndim > 1)


@KINDS
def test_every_step_trains(kind: str, subjects: dict[str, Subject]):
    """In bf16 too, in which some losses and metrics of heads can't be computed."""
    step = TrainingStep(subjects[kind], Setup(dtype='bf16', memory_format='channels_last'))
    weight = next(step.model.backbone.parameters())
    assert weight.dtype == torch.float32
    assert weight.is_contiguous(memory_format=torch.channels_last if weight.ndim == 4 else torch.channels_last_3d)
    seen = [weight.detach().clone()]
    for _ in range(2):
        step.laps(subjects[kind].batch(2))
        assert not torch.equal(seen[-1], weight)
        seen.append(weight.detach().clone())


def test_fp16_waits_until_no_step_is_skipped(subjects: dict[str, Subject]):
    class Scaler:
        scale = 2.0**16

        def get_scale(self) -> float:
            return self.scale

    step = TrainingStep(subjects['classifier'], Setup())
    step.optimizer.loss_scaler = scaler = Scaler()
    steps = []

    def laps(batch: dict) -> None:
        steps.append(batch)
        scaler.scale = max(scaler.scale / 2, 2.0**13)

    step.laps = laps
    step.settle({})
    assert len(steps) == 4  # 2^15, 2^14 and 2^13 were skipped, the next was not
    scaler.scale, step.laps = 1e30, lambda batch: setattr(scaler, 'scale', scaler.scale / 2)
    with pytest.raises(UserError, match='fp16'):
        step.settle({})


@KINDS
def test_inference_goes_as_far_as_the_head(subjects: dict[str, Subject], kind: str):
    subject = subjects[kind]
    model = network(subject, Setup())
    out = Inference(subject, model, Setup(), 2)()
    if kind == 'detector':
        assert sum(scores[0].numel() for scores in out[0]) == 8732 * 81  # the paper's boxes, with the background
    else:
        assert out.shape == (2, subject.num_classes)
    predicted = Inference(subject, model, Setup(predict=True), 2)()
    assert len(predicted) == 2


def test_inference_in_half(subjects: dict[str, Subject]):
    setup = Setup(dtype='bf16', memory_format='channels_last')
    subject = subjects['recognizer']
    inference = Inference(subject, network(subject, setup), setup, 2)
    assert {parameter.dtype for parameter in inference.model.parameters()} == {torch.bfloat16}
    assert inference.inputs.shape == (2, *subject.shape)
    assert inference().dtype == torch.bfloat16


@KINDS
def test_macs_are_those_of_one_sample(subjects: dict[str, Subject], kind: str):
    """Beside torch's own counter, of a real input; it counts two operations a multiply-accumulate."""
    from torch.utils.flop_counter import FlopCounterMode
    subject = subjects[kind]
    call = Inference(subject, network(subject, Setup()), Setup(), 1)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        call.model(call.inputs, call.targets, **call.arguments)
    assert subject.complexity().macs * 2 == counter.get_total_flops()


def test_names_tell_subjects_apart():
    assert [subject.name for subject in subjects_of([IMAGES, IMAGES], None)] == ['rir_cifar10', 'rir_cifar10 (2)']
    assert [subject.name for subject in subjects_of([IMAGES], ['rir32', 'rir_cnn32'])] == ['rir32', 'rir_cnn32']
    other = IMAGES.replace('10', '100')
    assert [subject.name for subject in subjects_of([IMAGES, other], ['rir32'])] == ['rir_cifar10_rir32',
                                                                                   'rir_cifar100_rir32']


def test_weights_come_from_load_from(subjects: dict[str, Subject], tmp_path: Path):
    weights = subjects['classifier'].new_model().state_dict()
    torch.save(dict(state_dict=weights), tmp_path / 'net.pth')
    spec = Spec(IMAGES, 'rir_resnet32', options=dict(load_from=str(tmp_path / 'net.pth')))
    for name, loaded in from_spec(spec).new_model().state_dict().items():
        assert torch.equal(loaded, weights[name])


def test_compiling_fails_in_one_line():
    def fail() -> None:
        raise RuntimeError('\n  no compiler\nand more\n')

    with pytest.raises(UserError, match=r'^--compile default: net: RuntimeError: no compiler$'):
        warmed('net', fail, Setup(compile='default'), 1)
    with pytest.raises(RuntimeError):
        warmed('net', fail, Setup(), 1)


class Step:
    """A transform that takes some seconds of a clock."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self.clock = clock
        self.seconds = seconds

    def __call__(self, batch: dict) -> dict:
        self.clock.now += self.seconds
        return batch


LoadImage, RandomFlip, PackInputs = (type(name, (Step, ), {}) for name in ('LoadImage', 'RandomFlip', 'PackInputs'))


@pytest.mark.parametrize('whole', [False, True])
def test_each_transform_is_timed(whole: bool):
    clock = Clock()

    class Data:
        def __init__(self) -> None:
            self.pipeline = type('Pipeline', (), {})()
            self.pipeline.transforms = [LoadImage(clock, 4.0), RandomFlip(clock, 1.0), PackInputs(clock, 2.0)]

        def __len__(self) -> int:
            return 50

        def __getitem__(self, index: int) -> dict:
            clock.now += 1.0
            sample = {}
            for transform in self.pipeline.transforms:
                sample = transform(sample)
            return sample

    if whole:
        Data.__getitems__ = lambda self, indices: self[indices[0]]
    wrapper = type('Wrapper', (), {})()
    wrapper.dataset = inner = Data()
    originals = inner.pipeline.transforms
    rows = data.measure_transforms(wrapper, samples=7, batch=4, clock=clock)
    samples = 4 if whole else 1  # that share a call
    assert [(row['transform'], row['kind'], row['seconds'] * samples, row['share']) for row in rows] == [
        ('data set', 'other', 1.0, 1 / 8), ('LoadImage', 'decode', 4.0, 4 / 8), ('RandomFlip', 'augment', 1.0, 1 / 8),
        ('PackInputs', 'other', 2.0, 2 / 8)]
    assert data.rate(rows, 'decode') == samples / 4
    assert data.rate(rows[2:], 'decode') is None
    assert inner.pipeline.transforms is originals


@pytest.mark.parametrize(('name', 'kind'), [
    ('LoadImageFromFile', 'decode'), ('OpenVideo', 'decode'), ('DecodeVideo', 'decode'), ('DecordDecode', 'decode'),
    ('RawFrameDecode', 'decode'), ('LoadAnnotations', 'other'), ('SampleFrames', 'other'), ('PackDetInputs', 'other'),
    ('Resize', 'augment'), ('MultiScaleCrop', 'augment')])
def test_the_kinds_of_transforms(name: str, kind: str):
    assert data.kind_of_transform(name) == kind


def test_the_sampler_has_no_end_and_begins_anew():
    sampler = data.EndlessSampler(range(5))
    first, second = iter(sampler), iter(sampler)
    drawn = [next(first) for _ in range(10)]
    assert sorted(drawn[:5]) == sorted(drawn[5:]) == list(range(5))
    assert drawn[:5] != drawn[5:]
    del first
    assert [next(second) for _ in range(10)] == drawn


def test_the_wait_is_a_part_of_a_real_step(shapes: Path, monkeypatch: pytest.MonkeyPatch):
    """Steps on the config's own batches, by a clock that loading and the step's parts move."""
    subject = from_spec(Spec(SSD, 'iresnet18', str(shapes), 'auto', {'train_dataloader.num_workers': 0}))
    loader, same = data.loaders_of([subject, subject], 2)
    assert loader is same
    clock, seen = Clock(), []
    collate = loader.collate_fn

    def slowly(samples: list) -> dict:
        clock.now += 8
        return collate(samples)

    class FakeStep:
        setup = Setup()

        def __call__(self, batch: dict, stopwatch: Stopwatch) -> None:
            seen.append(len(batch['inputs']))
            for seconds in (0, 1, 2, 5 if len(seen) > 2 else 100):
                clock.now += seconds
                stopwatch.mark()

    loader.collate_fn = slowly
    monkeypatch.setattr(data, 'Stopwatch', lambda device: Stopwatch(device, clock))
    found = data.measure_waiting(FakeStep(), loader, steps=3, warmup=2)
    assert seen == [2] * 5
    assert found == dict(data=8, forward=1, backward=2, optimiser=5, step=16, waiting_share=0.5)
    assert data.measure_loading(loader, 4, 1, clock) == [8] * 4


def test_memory_rises_by_what_is_taken():
    gauge = memory.Gauge('cpu')
    with mmap.mmap(-1, 64 * 2**20) as taken:  # malloc might find it among what it has kept
        for _ in range(64):
            taken.write(bytes(2**20))
    assert 63 < gauge.growth() / 2**20 < 80
    assert memory.Gauge('cpu').growth() / 2**20 < 16  # what is free again does not count


def test_held_counts_weights_and_the_optimisers_state():
    model = torch.nn.BatchNorm1d(10)
    optimizer = torch.optim.SGD(model.parameters(), lr=1, momentum=0.9)
    assert memory.held(model, None) == 4 * 40 + 8  # weight, bias, mean, variance; the count of batches
    model(torch.rand(3, 10)).sum().backward()
    optimizer.step()
    assert memory.held(model, optimizer) == 4 * 60 + 8


def test_peaks_come_from_a_process_of_their_own():
    spec = Spec(IMAGES, 'rir_resnet32')
    small, large = memory.peaks(spec, Setup(threads=1), False, [1, 64])
    weights = 4 * from_spec(spec).complexity().params
    assert weights < small < large
    image = 3 * 32 * 32 * 4
    assert large - small > 63 * image  # the input alone


@pytest.mark.parametrize(('code', 'out', 'err', 'expected'), [
    (-9, 'peak 5\nnoise\n', '', [5, None]), (0, 'peak 5\npeak null\n', '', [5, None]),
    (2, '', 'warning\nerror: no such thing\n', 'no such thing'), (1, '', 'Traceback\nKeyError: 3\n', 'KeyError: 3')])
def test_how_the_measuring_process_ends(monkeypatch: pytest.MonkeyPatch, code: int, out: str, err: str,
                                        expected: list | str):
    done = subprocess.CompletedProcess([], code, out.encode(), err.encode())
    monkeypatch.setattr(memory.subprocess, 'run', lambda command, **options: done)
    if isinstance(expected, list):
        assert memory.peaks(Spec(IMAGES), Setup(), False, [1, 2]) == expected
    else:
        with pytest.raises(UserError, match=expected):
            memory.peaks(Spec(IMAGES), Setup(), False, [1, 2])
