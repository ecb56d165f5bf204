"""The arithmetic of measurements, with clocks that the tests wind: nothing here depends on how fast the machine is."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest
import torch

from mmext.benchmark import machine, plot, tables, timing
from mmext.benchmark.compare import OUT_OF_MEMORY, Comparison, add_shares
from mmext.benchmark.plan import Plan
from mmext.benchmark.setup import Setup, out_of_memory
from mmext.errors import UserError


class Clock:
    """Stands still but for the work that moves it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def work(self, *seconds: float) -> Callable[[], None]:
        """Work that takes these seconds, one after the other, and the last ones for ever."""
        calls = count()

        def run() -> None:
            self.now += seconds[min(next(calls), len(seconds) - 1)]

        return run


def comparison(clock: Clock, **plan) -> Comparison:
    return Comparison([None, None], Setup(), Plan(**plan), clock=clock, quiet=True)


def test_percentiles_lie_between_samples_linearly():
    # 0 ... 10: the position of p is 10 p.
    assert timing.percentiles([3, 1, 0, 2, 10, 9, 8, 4, 5, 7, 6]) == pytest.approx(dict(median=5, p90=9, p99=9.9))
    assert timing.percentiles([2.0]) == dict(median=2, p90=2, p99=2)


def test_a_ratio_is_of_turns_not_of_medians():
    found = timing.ratio([2, 30, 4], [1, 10, 4])
    assert found == dict(median=2, min=1, max=3)  # of 2, 3, 1; the ratio of the medians is 4 / 4


def test_each_call_or_a_row_of_calls():
    clock = Clock()
    assert timing.seconds_each(clock.work(1, 2, 4), clock, 3) == [1, 2, 4]
    assert timing.seconds_mean(clock.work(1, 2, 6), clock, 3) == 3


def test_the_stopwatch_gives_the_parts():
    clock = Clock()
    watch = timing.Stopwatch('cpu', clock)
    for seconds in (5, 1, 2, 3):
        clock.now += seconds
        watch.mark()
    assert watch.laps() == [1, 2, 3]


def test_subjects_take_turns():
    order: list[str] = []
    works = [lambda name=name: order.append(name) or f'{name}{len(order)}' for name in 'AB']
    assert timing.in_turn(works, 3) == [['A1', 'A3', 'A5'], ['B2', 'B4', 'B6']]
    assert order == list('ABABAB')


def test_ratios_of_a_comparison_by_an_injected_clock(monkeypatch: pytest.MonkeyPatch):
    clock = Clock()
    compared = comparison(clock, batches=(2, ), repeats=3, turn=0.0)
    # The first call of each finds out how many fill a turn.
    calls = [clock.work(9, 1, 2, 4), clock.work(9, 3, 4, 2)]
    monkeypatch.setattr(compared, 'inferences', lambda batches: iter([calls]))
    (first, ), (second, ) = compared.throughput()
    assert first['seconds'] == [1, 2, 4]
    assert second['seconds'] == [3, 4, 2]
    assert first['samples_per_s'] == 2 / 2
    assert second['samples_per_s'] == 2 / 3
    assert first['ratio'] == dict(median=1, min=1, max=1)
    assert second['ratio'] == dict(median=2, min=0.5, max=3)  # 3 / 1, 4 / 2, 2 / 4


def test_latency_is_of_single_calls(monkeypatch: pytest.MonkeyPatch):
    clock = Clock()
    compared = comparison(clock, repeats=2)
    calls = [clock.work(1, 1, 1, 1, 6, 2), clock.work(3)]
    monkeypatch.setattr(compared, 'inferences', lambda batches: iter([calls]))
    first, second = compared.latency()
    assert first['seconds'] == [[1, 1, 1, 1, 6], [2, 2, 2, 2, 2]]
    assert (first['calls'], first['median'], first['p99']) == (10, 2, pytest.approx(6 - 0.09 * 4))
    assert second['ratio'] == dict(median=2.25, min=1.5, max=3)  # medians of the turns: 3 / 1, 3 / 2


def test_short_calls_fill_a_turn():
    clock = Clock()
    calls = count()

    def call() -> None:
        next(calls)
        clock.now += 0.03

    turn = comparison(clock, turn=0.2).row_of_calls(call)
    assert next(calls) == 1
    assert turn() == pytest.approx(0.03)
    assert next(calls) == 1 + 7 + 1  # 0.2 / 0.03 is 6.7


def test_out_of_memory_leaves_the_others(monkeypatch: pytest.MonkeyPatch):
    turns = count()

    def too_much() -> int:
        if next(turns) == 1:  # the second
            raise torch.OutOfMemoryError('CUDA out of memory')
        return 1

    clock = Clock()
    compared = comparison(clock, batches=(1, 2), repeats=2, turn=0.0)
    fits = clock.work(0.5)
    monkeypatch.setattr(compared, 'inferences', lambda batches: iter([[fits, fits], [None, fits]]))
    first, second = compared.throughput()
    assert [row.get('error') for row in first] == [None, OUT_OF_MEMORY]
    assert [row.get('ratio', {}) is None for row in second] == [False, True]
    assert second[1]['samples_per_s'] == 4
    assert compared.in_turn('', [too_much, lambda: 1]) == [None, [1, 1]]
    with pytest.raises(ZeroDivisionError):
        compared.attempt(lambda: 1 / 0)


@pytest.mark.parametrize(('error', 'is_memory'), [
    (RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried"), True),
    (torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2 GiB'), True), (MemoryError(), True),
    (RuntimeError('mat1 and mat2 shapes cannot be multiplied'), False), (ValueError('not enough memory'), False)])
def test_what_counts_as_out_of_memory(error: Exception, is_memory: bool):
    assert out_of_memory(error) is is_memory


def test_the_processor_says_that_memory_is_used_up():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert out_of_memory(caught.value)


def test_the_share_of_the_peak():
    # 5 GMACs are 10 GFLOP; 30 samples a second are 300 GFLOP/s of 1.2 TFLOP/s.
    assert machine.share_of_peak(5_000_000_000, 30, 1.2e12) == 0.25
    records = [dict(macs=10**9, throughput=[dict(batch=1, samples_per_s=50.0), dict(batch=2, error=OUT_OF_MEMORY)])]
    add_shares(records, 1e12)
    assert records[0]['throughput'] == [dict(batch=1, samples_per_s=50.0, share_of_peak=0.1),
                                        dict(batch=2, error=OUT_OF_MEMORY)]


@pytest.mark.parametrize('quickest', [('mm', 10), ('mm', 20), ('conv2d', 5), ('conv2d', 4)])
def test_the_peak_is_that_of_the_best_matrix_product_or_convolution(quickest: tuple, monkeypatch: pytest.MonkeyPatch):
    """Multiply-accumulates are counted from the tensors, and the seconds are those of torch's timer."""
    monkeypatch.setitem(machine.MATRICES, 'cpu', (10, 20))
    monkeypatch.setitem(machine.CONVOLUTIONS, 'cpu', ((2, 3, 5), (1, 7, 4)))
    flop = {}

    class Timer:
        def __init__(self, statement: str, globals: dict, num_threads: int) -> None:
            found = eval(statement, globals)
            kind = 'mm' if 'mm' in statement else 'conv2d'
            inner = len(globals['a']) if kind == 'mm' else globals['w'][0].numel()
            self.work = kind, found.shape[-1]
            flop[self.work] = 2 * found.numel() * inner

        def blocked_autorange(self, min_run_time: float) -> Timer:
            self.times = [9e9, 1.0 if self.work == quickest else 1e9]
            return self

    monkeypatch.setattr(machine, 'Timer', Timer)
    assert machine.peak_of(Setup()) == flop[quickest]
    assert len(flop) == 4


@pytest.mark.parametrize(('torch_version', 'cudnn', 'slow'), [
    ('2.9.0+cu128', 91002, True), ('2.9.1', 91499, True), ('2.9.0', 91500, False), ('2.9.0', 91600, False),
    ('2.9.0+cpu', None, False), ('2.8.0+cu128', 91002, False), ('2.10.0', 91002, False), ('2.13.0', 91002, False)])
def test_the_warning_of_slow_conv3d(torch_version: str, cudnn: int | None, slow: bool):
    told = machine.warnings(dict(torch=torch_version, cudnn=cudnn, load=None, cores=2), Setup())
    assert len(told) == slow
    assert all('166122' in sentence and '166643' in sentence and '9.15' in sentence for sentence in told)


def test_a_busy_machine_is_told():
    described = dict(torch='2.13.0', cudnn=None, cores=8)
    assert 'load 5' in machine.warnings(dict(described, load=5.0), Setup())[0]
    assert machine.warnings(dict(described, load=3.0), Setup()) == []


def test_the_header_states_what_it_ran_on():
    described = machine.describe(Setup())
    text = '\n'.join(tables.header(dict(described, cudnn=91500, peak=2.5e12),
                                   Setup(dtype='bf16', memory_format='channels_last', compile='default')))
    for part in (torch.__version__, 'cuDNN 91500', described['device'], f'{torch.get_num_threads()} of ', 'bf16',
                 'channels last', 'torch.compile (default)', '2.5 TFLOP/s'):
        assert part in text


@pytest.mark.parametrize(('setup', 'said'), [
    (dict(dtype='fp16'), '--dtype fp16'), (dict(dtype='tf32'), '--dtype tf32'), (dict(threads=0), '--threads 0')])
def test_a_setup_that_can_not_be(setup: dict, said: str):
    with pytest.raises(UserError, match=said):
        Setup(**setup).check()


@pytest.mark.parametrize(('dtype', 'tf32'), [
    ('fp32', (False, False)), ('default', (False, True)), ('tf32', (True, True)), ('bf16', (False, False))])
def test_where_a_gpu_may_take_tf32(dtype: str, tf32: tuple[bool, bool]):
    """In matrix products and in convolutions; torch's default is the second alone, in which mmext trains."""
    places = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [place.allow_tf32 for place in places]
    try:
        Setup(device='cuda', dtype=dtype, cudnn_benchmark=torch.backends.cudnn.benchmark).apply()
        assert tuple(place.allow_tf32 for place in places) == tf32
    finally:
        for place, value in zip(places, before):
            place.allow_tf32 = value


@pytest.mark.parametrize(('shape', 'batches', 'layout'), [
    ((2, 3, 4, 5), 1, torch.channels_last), ((2, 3, 4, 5, 6), 1, torch.channels_last_3d),
    ((2, 2, 3, 4, 5, 6), 2, torch.channels_last_3d)])
def test_the_memory_format(shape: tuple, batches: int, layout: torch.memory_format):
    tensor = torch.rand(shape)
    arranged = Setup(memory_format='channels_last').arrange(tensor)
    assert torch.equal(arranged, tensor)
    assert arranged.view(-1, *shape[batches:]).is_contiguous(memory_format=layout)  # as Recognizer3D views clips
    assert Setup().arrange(arranged).is_contiguous()


def test_the_plot_has_a_point_of_each_model_at_its_best():
    rows = [dict(batch=1, samples_per_s=5.0), dict(batch=2, samples_per_s=9.0), dict(batch=4, error=OUT_OF_MEMORY)]
    records = [dict(name='a', macs=2 * 10**9, throughput=rows), dict(name='b', macs=10**9, throughput=rows[:1]),
               dict(name='c', macs=10**9, throughput=rows[2:])]
    assert plot.points(records, {}) == dict(a=(9.0, 2.0, 2), b=(5.0, 1.0, 1))
    assert plot.points(records, dict(a=0.7, b=0.8, c=0.9)) == dict(a=(9.0, 0.7, 2), b=(5.0, 0.8, 1))


@pytest.mark.parametrize(('accuracy', 'said'), [
    (dict(iresnet51=0.7, resnet50=0.6), "did you mean 'iresnet50'"), (dict(resnet50=0.6), 'none for iresnet50'),
    (dict(resnet50='high', iresnet50=0.7), 'not a number')])
def test_accuracies_that_can_not_be_drawn(accuracy: dict, said: str):
    with pytest.raises(UserError, match=said):
        plot.check_accuracy(accuracy, ['resnet50', 'iresnet50'])


def test_numbers_keep_their_digits():
    assert [tables.number(value) for value in (None, 0.123, 12.346, 123.46, 12345.6)] == ['-', '0.12', '12.35', '123.5',
                                                                                         '12,346']
    assert tables.ratio_cell(dict(median=1.0, min=1.0, max=1.0)) == '1'
    assert tables.ratio_cell(dict(median=1.0, min=0.9, max=1.2)) == '1.000 (0.90 to 1.20)'
    assert (tables.flops(3.21e12), tables.flops(98.7e9)) == ('3.2 TFLOP/s', '98.7 GFLOP/s')
