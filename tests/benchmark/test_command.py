"""tools/benchmark.py: every part of its tables and its JSON is there, and mistakes are told before the work."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.conftest import CONFIG, error_line
from tests.tools.helpers import here, succeeded

IMAGES = 'configs/classification/rir_cifar10.py'
CLIPS = 'configs/iresnet3d50_kinetics400.py'
QUICK = ('--threads', 1, '--repeats', 2, '--warmup', 1, '--train-batch', 2)
SHORT = ('--size', 32, 32, '--synthetic', *QUICK)


@pytest.fixture(autouse=True)
def small_matrices(monkeypatch: pytest.MonkeyPatch):
    from mmext.benchmark import machine
    monkeypatch.setitem(machine.MATRICES, 'cpu', (64, ))
    monkeypatch.setitem(machine.CONVOLUTIONS, 'cpu', ((1, 8, 8), ))


def cells(printed: str, table: str) -> list[list[str]]:
    """The rows of a printed table whose title begins like that."""
    part = re.split(rf'(?m)^{table}', printed)[1]
    rows = re.match(r'.*\n(?:[┏┃┡│├└].*\n)+', part)[0]
    return [[cell.strip() for cell in row.strip('│').split('│')] for row in re.findall('(?m)^│.*', rows)]


def test_two_networks_side_by_side(tmp_path: Path):
    out, plot = tmp_path / 'deep' / 'speed.json', tmp_path / 'speed.png'
    names = ['rir_cnn32', 'rir_resnet32']
    printed = succeeded(here('benchmark.py', IMAGES, '--backbone', *names, *SHORT, '--batches', 1, 3, '--out', out,
                             '--plot', plot, '--accuracy', 'rir_cnn32=0.8', 'rir_resnet32=0.9',
                             '--only', 'latency', 'throughput', 'train'))
    found = json.loads(out.read_text())
    assert plot.read_bytes().startswith(b'\x89PNG')
    assert list(found) == ['machine', 'warnings', 'setup', 'plan', 'accuracy', 'models']
    assert {'torch', 'cudnn', 'device', 'threads', 'peak'} <= set(found['machine'])
    assert f'torch {found["machine"]["torch"]}, no cuDNN' in printed
    assert found['plan']['repeats'] == 2
    assert [model['name'] for model in found['models']] == names
    for model in found['models']:
        latency, train = model['latency'], model['train']
        assert model['macs'] > 0
        assert 0 < latency['median'] <= latency['p90'] <= latency['p99']
        assert latency['calls'] == 10
        assert list(map(len, latency['seconds'])) == [5, 5]
        assert [row['batch'] for row in model['throughput']] == [1, 3]
        for row in model['throughput']:
            assert row['samples_per_s'] == pytest.approx(row['batch'] / row['median'])
            assert row['share_of_peak'] == pytest.approx(2 * model['macs'] * row['samples_per_s']
                                                         / found['machine']['peak'])
        assert list(map(len, train['seconds'])) == [3, 3]
        assert min(train[part] for part in ('forward', 'backward', 'optimiser')) > 0
        assert 'with_data' not in train
    assert [row[0] for row in cells(printed, 'models')] == names
    assert [row[:2] for row in cells(printed, 'inference')] == [[batch, name] for batch in '13' for name in names]
    assert [row[0] for row in cells(printed, 'training step')] == names
    assert cells(printed, 'models')[0][-1] == '1'


def test_data_of_a_detector(shapes: Path, tmp_path: Path):
    printed = succeeded(here('benchmark.py', CONFIG, '--data-root', shapes, '--classes', 'auto', '--only', 'data',
                             *QUICK, '--cfg-options', 'train_dataloader.num_workers=0', '--out', tmp_path / 'd.json'))
    model, = json.loads((tmp_path / 'd.json').read_text())['models']
    assert set(model) == {'name', 'config', 'backbone', 'kind', 'input', 'params', 'macs', 'data'}
    steps = ['LoadImage', 'LoadAnnotations', 'MinIoURandomCrop', 'Resize', 'RandomFlip', 'PhotoMetricDistortion',
             'PackDetInputs']
    assert [row['transform'] for row in model['data']['transforms']] == ['data set', *steps]
    assert sum(row['share'] for row in model['data']['transforms']) == pytest.approx(1)
    assert model['data']['decode_per_s'] == pytest.approx(1 / model['data']['transforms'][1]['seconds'])
    assert [row[1] for row in cells(printed, 'transforms')] == ['data set', *steps]


def test_memory_of_a_recognizer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The third kind; without the seconds that a process of its own takes."""
    from mmext.benchmark import memory
    monkeypatch.setattr(memory, 'peaks', lambda *arguments: list(memory.measured(*arguments)))
    out = tmp_path / 'memory.json'
    printed = succeeded(here('benchmark.py', CLIPS, '--backbone', 'resnet18', '--frames', 4, *SHORT, '--only', 'memory',
                             '--batches', 1, 2, '--memory-format', 'channels_last', '--out', out))
    model, = json.loads(out.read_text())['models']
    assert (model['kind'], model['input']) == ('recognizer', [1, 3, 4, 32, 32])
    peaks = [row['bytes'] for row in model['memory']['inference']]
    assert min(peaks) > 4 * model['params']
    assert [row[2] for row in cells(printed, 'inference')] == [f'{peak / 2**20:,.1f}' for peak in peaks]


def test_data_that_are_not_there_are_left_out():
    printed = succeeded(here('benchmark.py', IMAGES, '--data-root', 'nowhere', *QUICK, '--only', 'train'))
    assert re.search(r'data are not measured: nowhere.*no such folder', printed)
    assert 'waits for data' not in printed


@pytest.mark.parametrize(('arguments', 'said'), [
    (['configs/ssd300_iresnet5_coco.py'], 'ssd300_iresnet50_coco.py'),
    ([IMAGES, '--backbone', 'rir33'], "no backbone 'rir33'"),
    ([IMAGES, '--only', 'data', '--data-root', 'nowhere'], 'nowhere'),
    ([IMAGES, '--only', 'data', '--synthetic'], '--only data'),
    ([IMAGES, '--only', 'data', '--size', 16, 16], '--size'),
    ([IMAGES, '--batches', 0], '--batches 0'), ([IMAGES, '--batches', 2, 2], '--batches: 2'),
    ([IMAGES, '--repeats', 0], '--repeats 0'), ([IMAGES, '--train-batch', 0], '--train-batch 0'),
    ([IMAGES, '--dtype', 'fp16'], '--dtype fp16'), ([IMAGES, '--frames', 8], '--frames 8'),
    ([IMAGES, '--plot', 'speed.txt'], '--plot speed.txt'), ([IMAGES, '--out', '.'], 'it is a folder'),
    ([IMAGES, '--plot', 'speed.png', '--only', 'latency'], '--plot'),
    ([IMAGES, '--accuracy', 'rir_cifar1=0.9'], "did you mean 'rir_cifar10'"),
    ([IMAGES, '--cfg-options', 'model.num_class=3'], 'num_classes'),
    ([CONFIG, '--synthetic', '--only', 'train', '--train-batch', 1], '--train-batch 2')])
def test_mistakes_end_in_one_line(arguments: list, said: str, monkeypatch: pytest.MonkeyPatch):
    from mmext.benchmark import machine
    monkeypatch.setattr(machine, 'peak_of', lambda setup: pytest.fail('the work began'))
    assert said in error_line(here('benchmark.py', *arguments))
    assert not Path('speed.txt').exists()
