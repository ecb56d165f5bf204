"""What --classes stands for: names, some of those in the data, and 'auto'."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mmext.config_tree import datasets_of
from mmext.engine.config import load_config
from mmext.errors import UserError
from tests.conftest import CONFIG, ROOT

FOLDERS = 'configs/classification/iresnet_imagenet.py'


@pytest.fixture
def checkpoint(tmp_path: Path) -> str:
    """A checkpoint that names two classes."""
    path = tmp_path / 'x.pth'
    torch.save(dict(state_dict={}, meta=dict(dataset_meta=dict(classes=('dog', 'cat')))), path)
    return str(path)


@pytest.mark.parametrize('name', [CONFIG, FOLDERS])
def test_names_may_be_some_of_those_in_the_data(name: str, shapes: Path):
    for dataset in datasets_of(load_config(ROOT / name, classes='dog, cat')):
        assert dataset.subset and dataset.metainfo.classes == ('dog', 'cat')
    if name == CONFIG:
        assert not [dataset for dataset in datasets_of(load_config(ROOT / name, data_root=str(shapes), classes='auto'))
                    if dataset.get('subset')]


def test_a_checkpoint_needs_no_training_data(checkpoint: str):
    for classes in ('auto', 'cat,dog'):
        config = load_config(ROOT / CONFIG, classes=classes, checkpoint=checkpoint, testing=True)
        assert config.model.bbox_head.num_classes == 2
        assert all(dataset.subset and dataset.metainfo.classes == ('dog', 'cat') for dataset in datasets_of(config))
    config = load_config(ROOT / CONFIG, classes='hound,cat', checkpoint=checkpoint, testing=True)
    assert datasets_of(config)[0].metainfo.classes == ('hound', 'cat'), 'classes may get other names'


@pytest.mark.parametrize('classes, says', [
    (',', '--classes ,: it names no class'), ('cat,dog,cat', "--classes cat,dog,cat: 'cat' is named twice"),
    ('cat', r'--classes cat: \S+x.pth has 2 classes \(dog, cat\); give --classes auto')])
def test_what_stands_for_no_classes(classes: str, says: str, checkpoint: str):
    with pytest.raises(UserError, match=says):
        load_config(ROOT / CONFIG, classes=classes, checkpoint=checkpoint)
