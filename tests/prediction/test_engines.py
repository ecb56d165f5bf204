"""The backbone of a trained model, computed by other engines: the results are those of torch."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope

import mmext
from mmext.engine.config import load_config
from mmext.errors import UserError
from mmext.export import engines
from mmext.export.int8 import calibration_batches
from tests.conftest import CONFIG, error_line
from tests.prediction.test_load import checkpoints  # noqa: F401  a fixture
from tests.tools.helpers import here, succeeded

onnx = pytest.importorskip('onnx')
CONVOLUTIONS = torch.nn.Conv2d, torch.nn.Conv3d
ITEMS = dict(detection=(60, 80, 3), classification=(60, 80, 3), recognition=(12, 40, 40, 3))


@pytest.fixture(scope='module')
def own(checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:  # noqa: F811
    """Checkpoints in a folder for their ONNX files."""
    folder = tmp_path_factory.mktemp('engines')
    return {task: Path(shutil.copy(path, folder)) for task, path in checkpoints.items()}


def scores(model: object, task: str) -> np.ndarray:
    found = model(np.random.default_rng(0).integers(0, 256, ITEMS[task], np.uint8))
    return found.scores if task == 'detection' else np.array(list(found.scores.values()))


@pytest.mark.parametrize('engine, dtype, tolerance', [
    ('onnxruntime', 'fp32', 1e-4), ('openvino', 'fp32', 1e-4), ('openvino', 'bf16', 0.05), ('torch', 'bf16', 0.05)])
@pytest.mark.parametrize('task', ITEMS)
def test_results_are_those_of_torch(task: str, engine: str, dtype: str, tolerance: float, own: dict[str, Path]):
    if engine == 'openvino':
        pytest.importorskip('openvino')
    options = dict(score=0.0, device='cpu') if task == 'detection' else dict(device='cpu')
    expected = scores(mmext.load(own[task], **options), task)
    model = mmext.load(own[task], engine=engine, dtype=dtype, **options)
    found = scores(model, task)
    count = min(len(found), len(expected), 20)
    assert count > 2 and np.abs(found[:count] - expected[:count]).max() <= tolerance
    kind = engines.Autocast if engine == 'torch' else engines.Computed
    assert any(isinstance(module, kind) for module in model.model.backbone.modules())
    own_convolutions = [name for name, module in model.model.named_modules() if isinstance(module, CONVOLUTIONS)]
    assert engine == 'torch' or all(name.startswith('bbox_head') for name in own_convolutions)


def test_compile(own: dict[str, Path], monkeypatch: pytest.MonkeyPatch):
    """With a backend that needs no compiler."""
    seen = []

    def compile_later(module: torch.nn.Module) -> torch.nn.Module:
        seen.append(module)
        return module

    monkeypatch.setattr(torch, 'compile', compile_later)
    model = mmext.load(own['classification'], engine='compile', dtype='bf16', device='cpu')
    assert seen == [model.model.backbone] and isinstance(seen[0], engines.Autocast)
    assert any(isinstance(module, torch.nn.Linear) for module in seen[0].modules())


def test_the_file_is_kept_while_the_weights_are_the_same(own: dict[str, Path], tmp_path: Path):
    checkpoint = Path(shutil.copy(own['classification'], tmp_path / 'a.pth'))
    file = tmp_path / 'a.network.onnx'
    expected = scores(mmext.load(checkpoint, engine='onnxruntime', device='cpu'), 'classification')
    before = file.stat().st_mtime_ns
    mmext.load(checkpoint, engine='onnxruntime', device='cpu')
    assert file.stat().st_mtime_ns == before
    content = torch.load(checkpoint)
    content['state_dict']['backbone.conv1.weight'] *= 0.5
    torch.save(content, checkpoint)
    found = scores(mmext.load(checkpoint, engine='onnxruntime', device='cpu'), 'classification')
    assert file.stat().st_mtime_ns > before and not np.allclose(found, expected, atol=1e-6)
    file.write_bytes(b'damaged')
    again = scores(mmext.load(checkpoint, engine='onnxruntime', device='cpu'), 'classification')
    assert again == pytest.approx(found, abs=1e-6)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['a.network.onnx', 'a.pth']


def test_nothing_is_written_into_the_package(own: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / 'package').mkdir()
    published = Path(shutil.copy(own['classification'], tmp_path / 'package' / 'a.pth'))
    monkeypatch.setenv('MMEXT_CACHE', str(tmp_path / 'cache'))
    for hindrance in ((engines.pretrained, 'FOLDER', published.parent), (engines.os, 'access', lambda *_: False)):
        with monkeypatch.context() as patched:
            patched.setattr(*hindrance)
            mmext.load(published, engine='onnxruntime', device='cpu')
    assert [path.name for path in published.parent.iterdir()] == ['a.pth']
    assert [path.name for path in tmp_path.glob('cache/engines/*/*')] == ['a.network.onnx']


def test_mistakes(own: dict[str, Path], monkeypatch: pytest.MonkeyPatch):
    def refused(told: str, **options: str) -> None:
        with pytest.raises(UserError, match=told):
            mmext.load(own['classification'], **options)

    refused("engine 'tensorrt', dtype 'fp32': there are torch", engine='tensorrt')
    refused("dtype 'int4': there are", dtype='int4')
    refused('--engine torch --dtype int8: give --engine openvino', dtype='int8')
    refused('--engine onnxruntime --dtype bf16: it has no bf16', engine='onnxruntime', dtype='bf16')
    with pytest.raises(UserError, match='--engine openvino: it computes on the processor; give --device cpu'):
        monkeypatch.setattr(engines, 'installed', lambda module: True)
        engines.require_engine('openvino', 'fp32', torch.device('cuda'))
    monkeypatch.setattr(engines, 'installed', lambda module: False)
    refused('--engine openvino: not installed; pip install openvino', engine='openvino')
    with pytest.raises(UserError, match='its backbone is Linear, not one of mmext'):
        model = torch.nn.Module()
        model.backbone = torch.nn.Linear(1, 1)
        engines.use_engine(model, 'a.pth', 'torch', 'bf16')


@pytest.mark.parametrize('engine', ['onnxruntime', 'openvino'])
def test_int8(engine: str, own: dict[str, Path], tmp_path: Path):
    """The file is made with batches, and found without them."""
    if engine == 'openvino':
        pytest.importorskip('openvino')
    checkpoint = Path(shutil.copy(own['classification'], tmp_path / 'a.pth'))
    mmext.load(own['classification'], engine='onnxruntime', device='cpu')
    shutil.copy(own['classification'].with_suffix('.network.onnx'), tmp_path / 'a.network.onnx')
    with pytest.raises(UserError, match=r'no .*a.network.int8.onnx for these weights; mmext test CONFIG'):
        mmext.load(checkpoint, engine=engine, dtype='int8', device='cpu')
    model = mmext.load(checkpoint, device='cpu')
    expected = scores(model, 'classification')
    item = np.random.default_rng(0).integers(0, 256, ITEMS['classification'], np.uint8)
    batches = [model.task.collate([model.task.prepare(model.pipeline, item, '')])] * 2
    engines.use_engine(model.model, str(checkpoint), engine, 'int8', batches)
    found = scores(model, 'classification')
    assert 0 < np.abs(found - expected).max() < 0.05
    file = tmp_path / 'a.network.int8.onnx'
    before = file.stat().st_mtime_ns
    again = scores(mmext.load(checkpoint, engine=engine, dtype='int8', device='cpu'), 'classification')
    assert again == pytest.approx(found, abs=1e-6) and file.stat().st_mtime_ns == before
    operators = [node.op_type for node in onnx.load(file).graph.node]
    assert operators.count('Conv') == 20 and operators.count('QuantizeLinear') > 20


def test_int8_of_channels_last_weights(own: dict[str, Path], tmp_path: Path):
    """Torch exports their average pool as a Gather, with which OpenVINO computes something else in 8 bits."""
    engine = 'openvino' if engines.installed('openvino') else 'onnxruntime'
    checkpoint = Path(shutil.copy(own['classification'], tmp_path / 'a.pth'))
    model = mmext.load(checkpoint, device='cpu')
    expected = scores(model, 'classification')
    model.model.to(memory_format=torch.channels_last)
    item = np.random.default_rng(0).integers(0, 256, ITEMS['classification'], np.uint8)
    batches = [model.task.collate([model.task.prepare(model.pipeline, item, '')])]
    engines.use_engine(model.model, str(checkpoint), engine, 'int8', batches)
    assert np.abs(scores(model, 'classification') - expected).max() < 0.05
    graph = onnx.load(tmp_path / 'a.network.onnx').graph
    assert not {node.op_type for node in graph.node} & {'Gather', 'Range'}


def test_deviations():
    """By hand: of the first output 0.1 of 1; the second is as expected."""
    def expected(x: np.ndarray) -> list[np.ndarray]:
        return [x, np.zeros(2)]

    samples = [np.array([1.0, 1.0]), np.array([-1.0, 1.0])]
    assert engines.deviations(lambda x: [1.1 * x, np.zeros(2)], expected, samples) == pytest.approx([0.1, 0])


def test_calibration_images(shapes: Path):
    """They are images of the training set, as the test pipeline makes them, and always the same."""
    config = load_config(CONFIG, data_root=str(shapes), classes='auto')
    init_default_scope('mmdet')
    several = [[batch['data_samples'][0].img_path for batch in calibration_batches(config, 3)] for _ in range(2)]
    assert several[0] == several[1] and len(set(several[0])) == 3
    assert all(Path(path).parent.name == 'train2017' for path in several[0])
    assert next(calibration_batches(config, 1))['inputs'][0].shape == (3, 300, 300)
    config.train_dataloader = None
    with pytest.raises(UserError, match='no train_dataloader'):
        next(calibration_batches(config, 1))


def test_in_a_test(own: dict[str, Path], shapes: Path, tmp_path: Path):
    command = (CONFIG, own['detection'], '--backbone', 'iresnet18', '--data-root', shapes, '--classes',
               'circle,square,triangle', '--work-dir', tmp_path)
    metrics = {}
    for engine in ('torch', 'onnxruntime'):
        succeeded(here('test.py', *command, '--engine', engine, '--out', tmp_path / f'{engine}.json', '--cfg-options',
                       'test_dataloader.num_workers=0', 'test_dataloader.persistent_workers=False'))
        metrics[engine] = json.loads((tmp_path / f'{engine}.json').read_text())
    assert metrics['onnxruntime'] == pytest.approx(metrics['torch'], abs=1e-3)
    assert (own['detection'].parent / 'detection.network.onnx').is_file()
    assert '--fuse: not together with --engine' in error_line(here('test.py', *command, '--fuse', '--dtype', 'bf16'))
