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


def test_arrays_are_no_pictures(tmp_path: Path):
    config = load_config(FOLDER / 'rir_cifar10.py')
    with pytest.raises(UserError, match='rir_cifar10.py: its test pipeline does not begin with a transform'):
        Inferencer(config, Trained('a.pth', {}, None), CPU)
