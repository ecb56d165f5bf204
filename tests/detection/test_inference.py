"""Detectors on pictures without annotations: the same boxes as in a test."""

from __future__ import annotations

import copy
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner
from PIL import Image

import mmext  # noqa: F401  registers the names
from mmext.backbones.memory_format import arrange_weights
from mmext.backbones.trained import Trained, choose_device
from mmext.data.loading import decode
from mmext.engine.config import load_config
from mmext.errors import UserError
from mmext.inference import Inferencer
from mmext.task import require_task
from tests.conftest import ROOT

CLASSES = ('circle', 'square', 'triangle')
CPU = torch.device('cpu')
SMALL = {'test_dataloader.dataset.pipeline.1.scale': (96, 96), 'test_dataloader.num_workers': 0,
         'test_dataloader.persistent_workers': False}


def small_config(name: str, shapes: Path) -> Config:
    options = {key: value for key, value in SMALL.items() if 'scale' not in key or 'ssd' not in name}
    return load_config(ROOT / 'configs' / f'{name}.py', data_root=str(shapes), classes='auto', backbone='iresnet18',
                       options=options)


def save(model: torch.nn.Module, path: Path, **meta: object) -> Trained:
    torch.save(dict(state_dict=model.state_dict(), meta=meta), path)
    return Trained.read(str(path))


def random_weights(config: Config, path: Path) -> Trained:
    """That find something."""
    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    model.init_weights()
    if 'retinanet' in config.filename:
        torch.nn.init.normal_(model.bbox_head.retina_cls.weight, std=0.05)
        torch.nn.init.zeros_(model.bbox_head.retina_cls.bias)
    return save(model, path, dataset_meta=dict(classes=CLASSES))


@pytest.fixture(scope='module')
def config(shapes: Path) -> Config:
    return small_config('ssd300_iresnet50_coco', shapes)


@pytest.fixture(scope='module')
def trained(config: Config, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return random_weights(config, tmp_path_factory.mktemp('w') / 'a.pth')


@pytest.mark.parametrize('name', ['ssd300_iresnet50_coco', 'faster_rcnn_iresnet50_fpn_coco',
                                  'retinanet_iresnet50_fpn_coco'])
def test_boxes_are_those_of_the_test(name: str, shapes: Path, tmp_path: Path) -> None:
    """Which mmengine's loader, the data set's own loading and collation, and the model make."""
    config = small_config(name, shapes)
    trained = random_weights(config, tmp_path / 'a.pth')
    loader = Runner.build_dataloader(config.test_dataloader, seed=0)
    model = MODELS.build(config.model).eval()
    model.load_state_dict(torch.load(trained.source)['state_dict'])
    arrange_weights(model, 'auto')
    with torch.no_grad():
        samples = [sample for batch in loader for sample in model.test_step(batch)]
    detect = Inferencer(config, trained, CPU, score=0.0)
    assert len(samples) == 2
    for sample in samples:
        found = detect(decode(Path(sample.img_path).read_bytes())[..., ::-1], sample.img_path)
        there = sample.pred_instances[sample.pred_instances.scores.argsort(descending=True, stable=True)]
        assert len(there) > 5 and len(found.names) == len(there)
        np.testing.assert_allclose(found.scores, there.scores, atol=1e-5)
        same = np.abs(found.boxes - there.bboxes.numpy()).max(1) < 0.01
        assert same.mean() > 0.95, 'but for some whose scores are equal'
        np.testing.assert_array_equal(found.labels[same], there.labels[same])
        assert found.names == [CLASSES[label] for label in found.labels]


def test_the_least_score(config: Config, trained: Trained, shapes: Path) -> None:
    image = np.asarray(Image.open(next((shapes / 'val2017').iterdir())))
    everything = Inferencer(config, trained, CPU, score=0.0)(image)
    middle = float(np.median(everything.scores))
    some = Inferencer(config, trained, CPU, score=middle)(image)
    assert 0 < len(some.scores) < len(everything.scores) and some.scores.min() >= middle
    assert (np.diff(everything.scores) <= 0).all()
    np.testing.assert_array_equal(some.boxes, everything.boxes[everything.scores >= middle])
    assert not Inferencer(config, trained, CPU, score=1.0)(image).names
    told = some.as_json()
    assert told['classes'] == some.names and np.allclose(told['boxes'], some.boxes, atol=0.006)
    drawn = some.draw()
    assert drawn.shape == image.shape and (drawn != image).any()


def test_boxes_lie_on_pictures_of_any_shape(config: Config, trained: Trained) -> None:
    detect = Inferencer(config, trained, CPU, score=0.0)
    for height, width in ((40, 400), (300, 30), (1, 1)):
        noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
        found = detect(noise)
        assert (found.boxes >= 0).all() and (found.boxes <= np.array([width, height, width, height]) + 0.01).all()


@pytest.fixture(scope='module')
def ssd(shapes: Path) -> Config:
    return load_config(ROOT / 'configs' / 'ssd300_iresnet50_coco.py', backbone='iresnet18')


def test_classes_without_names(ssd: Config, tmp_path: Path) -> None:
    """Eighty are COCO's; others are numbers."""
    init_default_scope('mmdet')
    model = MODELS.build(ssd.model)
    assert Inferencer(ssd, save(model, tmp_path / 'a.pth'), CPU).classes[:3] == ('person', 'bicycle', 'car')
    assert Inferencer(ssd, save(model, tmp_path / 'b.pth', CLASSES=['a'] * 80), CPU).classes == ('a', ) * 80
    two = copy.deepcopy(ssd)
    two.model.bbox_head.num_classes = 2
    model = MODELS.build(two.model)
    assert Inferencer(two, save(model, tmp_path / 'c.pth'), CPU).classes == ('0', '1')
    with pytest.raises(UserError, match='tensors of SingleStageDetector fit'):
        Inferencer(ssd, save(model, tmp_path / 'c.pth'), CPU)
    next(iter(model.bbox_head.parameters())).data[0] = np.nan
    with pytest.raises(UserError, match='d.pth: state_dict.bbox_head.* not finite'):
        Inferencer(two, save(model, tmp_path / 'd.pth'), CPU)


@pytest.mark.parametrize('name, kind', [('demo/iresnet3d18_motion', 'Recognizer3D'),
                                        ('classification/rir_cifar10', 'mmext.Classifier')])
def test_only_detectors(name: str, kind: str) -> None:
    config = load_config(ROOT / 'configs' / f'{name}.py')
    with pytest.raises(UserError, match=f'{os.path.basename(name)}.py: its model is {kind}, not a detector; mmext'):
        require_task(config, 'detector', 'mmext predict takes recognizers')


def test_other_loaders(ssd: Config) -> None:
    config = copy.deepcopy(ssd)
    config.test_dataloader.dataset.pipeline = config.test_dataloader.dataset.pipeline[1:]
    with pytest.raises(UserError, match='does not start with mmext.LoadImage or LoadImageFromFile'):
        Inferencer(config, Trained('a.pth', {}, None), CPU)


@pytest.mark.parametrize('name', ['gpu', 'cuda:99', 'meta', 'mps', ''])
def test_devices(name: str) -> None:
    assert choose_device('cpu') == CPU and choose_device().type in ('cpu', 'cuda')
    with pytest.raises(UserError, match=f'--device {name}: '):
        choose_device(name)


def test_mmdet_s_own_entry_points(config: Config, shapes: Path, tmp_path: Path):
    """``inference_detector`` and ``DetInferencer`` take the config and find what ours finds."""
    from mmdet.apis import DetInferencer, inference_detector, init_detector

    trained = random_weights(config, tmp_path / 'a.pth')
    config.dump(tmp_path / 'kept.py')
    path = sorted((shapes / 'val2017').iterdir())[0]
    image = np.asarray(Image.open(path).convert('RGB'))
    ours = Inferencer(config, trained, CPU, score=0.0)(image).scores
    model = init_detector(str(tmp_path / 'kept.py'), trained.source, device='cpu')
    for given in (str(path), image[..., ::-1].copy()):
        found = inference_detector(model, given).pred_instances.scores.numpy()
        assert np.sort(found) == pytest.approx(np.sort(ours), abs=1e-3)
    infer = DetInferencer(str(tmp_path / 'kept.py'), trained.source, device='cpu', show_progress=False)
    for given in (str(path), image[..., ::-1].copy(), [str(path), str(path)]):
        for found in infer(given, no_save_vis=True)['predictions']:
            assert sorted(found['scores']) == pytest.approx(sorted(ours.tolist()), abs=1e-3)
