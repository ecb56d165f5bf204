"""tools/export.py: onnxruntime makes of its files what torch computes, and a file that differs is not written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import MODELS, init_default_scope
from scipy.spatial import cKDTree
from torch import Tensor, nn

import mmext
from mmext.engine.config import load_config
from tests.backbones.helpers import images, uneven
from tests.conftest import CONFIG, ROOT, error_line
from tests.prediction.test_load import checkpoints  # noqa: F401  a fixture
from tests.tools.helpers import here, succeeded

onnx = pytest.importorskip('onnx')
onnxruntime = pytest.importorskip('onnxruntime')

# Name, arguments of the network, flags, and the shapes of inputs that the file must take.
CASES = {
    'iresnet18': (dict(num_stages=2), ('--dynamic', '--size', 40, 40), [(2, 3, 40, 40), (1, 3, 33, 70)]),
    'cresnet15_a1': (dict(num_stages=2, out_indices=(1, )), ('--opset', 17), [(1, 3, 32, 32), (3, 3, 32, 32)]),
    'resnet18_recursive': (dict(num_stages=2, in_channels=1), ('--dynamic', '--fuse'), [(2, 1, 16, 25)]),
    'seresnet18_recursive': (dict(num_stages=1), (), [(1, 3, 32, 32)]),
    'res2next29_6c24w4s': (dict(cardinality=2, base_width=8, num_stages=1), ('--fuse', ), [(4, 3, 32, 32)]),
    'rir32': (dict(blocks=(1, 1, 1)), ('--fuse', ), [(1, 3, 32, 32)]),
    'all_cnn_c_init': ({}, ('--size', 16, 20), [(1, 3, 16, 20)]),
    'resgroup50': (dict(num_stages=1, dims=3), ('--frames', 2, '--dynamic', '--size', 32, 32),
                   [(1, 3, 2, 32, 32), (2, 3, 5, 35, 50)]),
}
SSD = ('--backbone', 'iresnet18', '--classes', 'circle,square,triangle')


def written(options: dict) -> list[str]:
    """Arguments as --cfg-options takes them."""
    given = [f'{key}={str(value).replace(" ", "")}' for key, value in options.items() if key != 'dims']
    return ['--cfg-options', *given] if given else []


def run(path: Path, x: Tensor) -> dict[str, np.ndarray]:
    """The outputs of a file by name."""
    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {session.get_inputs()[0].name: x.numpy()})))


def notes(path: Path) -> dict[str, str]:
    return {entry.key: entry.value for entry in onnx.load(path).metadata_props}


@pytest.mark.parametrize('name', CASES)
def test_backbone(name: str, tmp_path: Path):
    options, flags, shapes = CASES[name]
    backbone = uneven(name, **options).eval()
    torch.save(backbone.state_dict(), tmp_path / 'weights.pth')
    path = tmp_path / 'new' / 'net.onnx'
    said = succeeded(here('export.py', 'backbone', name, '--checkpoint', tmp_path / 'weights.pth', '--out', path,
                          *flags, *written(options)))
    assert said.count('differs from torch by at most') == len(backbone.out_indices)
    assert [file.name for file in path.parent.iterdir()] == ['net.onnx'], 'one file holds everything'
    for shape in shapes:
        x = images(*shape)
        found = run(path, x)
        assert list(found) == [feature.module for feature in backbone.feature_info]
        with torch.no_grad():
            for one, other in zip(found.values(), backbone(x), strict=True):
                assert np.abs(one - other.numpy()).max() <= 1e-5 * other.abs().max()
    model = onnx.load(path)
    if '--opset' in flags:
        assert model.opset_import[0].version == 17
    said = notes(path)
    assert said['fused'] == str('--fuse' in flags).lower()
    assert (said['backbone'], said['mmext_version']) == (name, mmext.__version__)
    assert json.loads(said['strides']) == backbone.feature_info.reduction()


@pytest.fixture(scope='module')
def detector(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Path]:
    """A small SSD300 whose scores and boxes are all over the place, and its checkpoint."""
    init_default_scope('mmdet')
    torch.manual_seed(0)
    config = load_config(ROOT / CONFIG, backbone='iresnet18', classes='circle,square,triangle')
    model = MODELS.build(config.model).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    path = tmp_path_factory.mktemp('detector') / 'ssd.pth'
    classes = ('circle', 'square', 'triangle')
    torch.save(dict(state_dict=model.state_dict(), meta=dict(dataset_meta=dict(classes=classes))), path)
    return model, path


def test_ssd300(detector: tuple[nn.Module, Path], tmp_path: Path):
    """Boxes and scores are those of mmdet's own post-processing, where it drops nothing."""
    from mmdet.structures import DetDataSample
    model, checkpoint = detector
    path = tmp_path / 'ssd.onnx'
    succeeded(here('export.py', 'detector', ROOT / CONFIG, checkpoint, *SSD, '--out', path, '--fuse'))
    bgr = torch.randint(256, (2, 3, 300, 300), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    found = run(path, bgr.flip(1).float())
    samples = [DetDataSample(metainfo=dict(img_shape=(300, 300))) for _ in bgr]
    with torch.no_grad():
        inputs = model.data_preprocessor(dict(inputs=list(bgr), data_samples=samples))['inputs']
        maps = model.bbox_head(model.extract_feat(inputs))
        cfg = dict(score_thr=-1, nms_pre=100_000)
        expected = model.bbox_head.predict_by_feat(*maps, batch_img_metas=[sample.metainfo for sample in samples],
                                                   cfg=cfg, with_nms=False)
    assert found['boxes'].shape == (2, 8732, 4) and found['scores'].shape == (2, 8732, 3)
    assert found['boxes'].min() == 0 and found['boxes'].max() == 300, 'boxes are clipped'
    for boxes, scores, one in zip(found['boxes'], found['scores'], expected):
        for label in range(3):  # mmdet has one entry for each box and class, in another order
            mine = np.concatenate([boxes, 100 * scores[:, label:label + 1]], 1)
            theirs = torch.cat([one.bboxes, 100 * one.scores[:, None]], 1)[one.labels == label].numpy()
            assert len(theirs) == len(mine)
            assert cKDTree(mine).query(theirs)[0].max() < 5e-3 and cKDTree(theirs).query(mine)[0].max() < 5e-3
    said = notes(path)
    assert json.loads(said['classes']) == ['circle', 'square', 'triangle']
    assert (said['backbone'], said['color']) == ('iresnet18', 'RGB')
    assert json.loads(said['mean']) == [123.675, 116.28, 103.53]


@pytest.mark.parametrize('task', ['classification', 'recognition', 'detection'])
def test_a_model_from_its_checkpoint(task: str, checkpoints: dict[str, Path], tmp_path: Path):  # noqa: F811
    """What onnxruntime makes of pixels is what ``mmext.load`` makes of them."""
    path = tmp_path / 'model.onnx'
    said = succeeded(here('export.py', 'model', checkpoints[task], '--out', path))
    model = mmext.load(checkpoints[task], device='cpu')
    assert json.loads(notes(path)['classes']) == list(model.classes) and 'random' not in said
    if task == 'detection':
        assert 'boxes: onnxruntime differs' in said
        return
    shape = (224, 224, 3) if task == 'classification' else (300, 40, 40, 3)
    item = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    pixels = torch.stack([model.task.prepare(model.pipeline, item, '')['inputs']])[0].float()
    found = run(path, pixels[None] if task == 'classification' else pixels)['scores'].mean(0)
    assert found == pytest.approx(list(model(item).scores.values()), abs=1e-4)


def test_a_difference_is_refused(tmp_path: Path):
    done = here('export.py', 'backbone', 'rir_cnn32', '--out', tmp_path / 'net.onnx', '--tolerance', 0,
                '--cfg-options', 'blocks=(1,1,1)', 'num_stages=1')
    assert 'not written, layer1 differs' in error_line(done)
    assert not list(tmp_path.iterdir())


def test_what_is_not_finite_is_refused(tmp_path: Path):
    backbone = uneven('rir_cnn32', num_stages=1)
    nn.init.constant_(backbone.bn1.running_mean, torch.nan)
    torch.save(backbone.state_dict(), tmp_path / 'weights.pth')
    done = here('export.py', 'backbone', 'rir_cnn32', '--out', tmp_path / 'net.onnx', '--checkpoint',
                tmp_path / 'weights.pth', '--cfg-options', 'num_stages=1')
    assert 'bn1.running_mean holds a number that is not finite' in error_line(done)
    assert [file.name for file in tmp_path.iterdir()] == ['weights.pth']


def test_missing_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr('mmext.export.graph.PACKAGES', ('onnx', 'onnxscripture', 'onnxwalktime'))
    done = here('export.py', 'backbone', 'resnet18', '--out', tmp_path / 'net.onnx')
    assert error_line(done).endswith('pip install onnxscripture onnxwalktime')


MISTAKES = {
    'no such network': (('backbone', 'iresnet51'), "no backbone 'iresnet51'; did you mean 'iresnet50'"),
    'no such argument': (('backbone', 'resnet18', '--cfg-options', 'stemm=conv3x3'),
                         "resnet18 has no argument 'stemm'; did you mean 'stem'"),
    'too small': (('backbone', 'resnet18', '--size', 16, 16), '16 x 16 is too small'),
    'no frames': (('backbone', 'resnet18', '--frames', 0), '--frames 0'),
    'frames of an image': (('backbone', 'resnet18', '--dims', 2, '--frames', 4), '--dims 2 --frames 4'),
    'an opset of old': (('backbone', 'rir_cnn32', '--cfg-options', 'num_stages=1', '--opset', 5), '--opset 5'),
    'no checkpoint': (('backbone', 'resnet18', '--checkpoint', 'nowhere.pth'), 'nowhere.pth: no such checkpoint'),
    'no config': (('detector', 'configs/ssd300_nothing.py', 'nowhere.pth'), 'no such config'),
    'two stages': (('detector', ROOT / 'configs/faster_rcnn_resnet18_c5_coco.py', 'SSD.pth'), 'FasterRCNN: only SSD'),
    'other classes': (('detector', ROOT / CONFIG, 'SSD.pth', '--backbone', 'iresnet18'), 'of another shape'),
    'no files': (('model', 'a.pth', 'b.pth'), 'a.pth: not a config'),
    'three files': (('model', 'a.py', 'b.pth', 'c.pth'), 'c.pth: give a checkpoint, or a config and a checkpoint'),
    'another size': (('detector', ROOT / CONFIG, 'SSD.pth', *SSD, '--size', 512, 512), 'takes 300 x 300'),
}


@pytest.mark.parametrize('mistake', MISTAKES)
def test_mistakes(mistake: str, detector: tuple[nn.Module, Path], tmp_path: Path):
    arguments, says = MISTAKES[mistake]
    arguments = [detector[1] if argument == 'SSD.pth' else argument for argument in arguments]
    assert says in error_line(here('export.py', *arguments, '--out', tmp_path / 'net.onnx'))
    assert not (tmp_path / 'net.onnx').exists()
