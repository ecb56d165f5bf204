"""A classifier on pictures without labels: the scores of the test."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import MODELS
from mmengine.runner import Runner
from PIL import Image

from mmext.backbones.trained import Trained
from mmext.classification.results import Classified
from mmext.engine.config import load_config
from mmext.errors import UserError
from mmext.inference import Inferencer
from tests.classification.helpers import write_folders
from tests.conftest import ROOT

CPU = torch.device('cpu')
FOLDER = ROOT / 'configs' / 'classification'


def test_scores_are_those_of_the_test(tmp_path: Path):
    for split in ('train', 'val'):
        write_folders(tmp_path / 'data' / split, dict(cat=2, dog=1, owl=1))
    config = load_config(FOLDER / 'iresnet_imagenet.py', backbone='iresnet18', data_root=str(tmp_path / 'data'),
                         classes='auto', options={'test_dataloader.num_workers': 0})
    model = MODELS.build(config.model).eval()
    torch.save(dict(state_dict=model.state_dict(), meta=dict(dataset_meta=dict(
        classes=config.test_dataloader.dataset.metainfo.classes))), tmp_path / 'a.pth')
    classify = Inferencer(config, Trained.read(str(tmp_path / 'a.pth')), CPU)
    loader = Runner.build_dataloader(config.test_dataloader, seed=0)
    batch = next(iter(loader))
    with torch.no_grad():
        expected = model.test_step(batch)
    for path, sample in zip(batch['names'], expected, strict=True):
        found = classify(np.asarray(Image.open(path).convert('RGB')), path)
        assert list(found.scores) == list(config.test_dataloader.dataset.metainfo.classes)
        assert list(found.scores.values()) == pytest.approx(sample['pred_scores'].tolist(), abs=1e-5)
        assert found.best(1)[0][1] == max(found.scores.values())


def test_a_picture_for_a_network_of_small_images(tmp_path: Path):
    """It is resized to the size of the images that the network is trained on."""
    config = load_config(FOLDER / 'rir_cifar10.py')
    model = MODELS.build(config.model).eval()
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'a.pth')
    classify = Inferencer(config, Trained.read(str(tmp_path / 'a.pth')), CPU)
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    batch = dict(inputs=torch.from_numpy(picture.transpose(2, 0, 1)[None].copy()), labels=torch.tensor([0]))
    with torch.no_grad():
        expected = model.test_step(batch)[0]['pred_scores']
    assert list(classify(picture).scores.values()) == pytest.approx(expected.tolist(), abs=1e-6)
    larger = classify(picture.repeat(4, 0).repeat(5, 1))
    assert list(larger.scores.values()) == pytest.approx(expected.tolist(), abs=0.05)
    stripes = np.tile(np.array([0, 255], np.uint8)[:, None, None], (150, 300, 3))
    shrunk = classify.task.prepare(classify.pipeline, stripes, '')['inputs'].float()
    assert shrunk.shape == (3, 32, 32) and (shrunk - 127.5).abs().max() < 30, 'means of rows, not single ones'


def test_a_picture_of_the_result(tmp_path: Path):
    image = np.full((40, 60, 3), 200, np.uint8)
    found = Classified({'cat': 0.25, 'dog': 0.75}, image)
    assert found.best(1) == [('dog', 0.75)] and found.describe(2) == 'dog 75.0 %, cat 25.0 %'
    assert found.as_json() == dict(classes=['dog', 'cat'], scores=[0.75, 0.25])
    drawn = found.draw()
    assert (drawn[:40, :60] == image).all() and drawn.shape[0] > 40 and (drawn[40:] < 100).any()
    found.save(tmp_path / 'a.png')
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / 'a.png')), drawn)
    with pytest.raises(UserError, match='a.xyz: need a name that ends with .jpg or .png'):
        found.save(tmp_path / 'a.xyz')
