"""Detection data in a layout of their own, and some of their classes, from training to the report."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mmext.checkpoints import read_checkpoint
from tests.conftest import CONFIG, OPTIONS, ROOT, error_line
from tests.tools.helpers import here, succeeded

NETWORK = ('--backbone', 'iresnet18')
FEW_BOXES = 'model.test_cfg.nms_pre=20'


@pytest.fixture(scope='module')
def mine(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same images in one folder each, and annotations beside them."""
    root = tmp_path_factory.mktemp('mine')
    for split in ('train', 'val'):
        shutil.copytree(shapes / f'{split}2017', root / f'{split} photos')
        shutil.copy(shapes / 'annotations' / f'instances_{split}2017.json', root / f'{split}.json')
    return root


def named(root: Path, *splits: str) -> list[object]:
    """The flags for the files of some splits."""
    return [word for split in splits for word in (f'--{split}-json', root / f'{split}.json', f'--{split}-images',
                                                  root / f'{split} photos')]


def test_some_classes_from_training_to_the_report(mine: Path, tmp_path: Path):
    printed = succeeded(here('train.py', ROOT / CONFIG, *NETWORK, *named(mine, 'train', 'val'), '--classes',
                             'triangle,circle', '--seed', 0, '--work-dir', tmp_path / 'run', '--cfg-options', *OPTIONS,
                             FEW_BOXES))
    assert 'of no class of the config' in printed and 'coco/AP' in printed
    checkpoint = tmp_path / 'run' / 'epoch_1.pth'
    assert list(read_checkpoint(checkpoint)['meta']['dataset_meta']['classes']) == ['triangle', 'circle']

    alone = tmp_path / 'alone'  # a machine with the test set only, whose categories are in another order
    alone.mkdir()
    shutil.copytree(mine / 'val photos', alone / 'val photos')
    content = json.loads((mine / 'val.json').read_text())
    (alone / 'val.json').write_text(json.dumps(dict(content, categories=content['categories'][::-1])))
    out = tmp_path / 'metrics.json'
    succeeded(here('test.py', ROOT / CONFIG, checkpoint, *NETWORK, *named(alone, 'val'), '--classes', 'auto',
                   '--work-dir', tmp_path / 'test', '--per-class', '--out', out, '--report', tmp_path / 'page',
                   '--cfg-options', OPTIONS[3], FEW_BOXES))
    metrics = json.loads(out.read_text())
    ids = {category['name']: category['id'] for category in content['categories']}
    assert list(metrics['per_class']) == ['triangle', 'circle']
    for name, row in metrics['per_class'].items():
        assert row['objects'] == sum(one['category_id'] == ids[name] for one in content['annotations'])
    found = json.loads((tmp_path / 'test' / 'detections.json').read_text())
    assert {one['category_id'] for one in found} <= {ids['triangle'], ids['circle']}
    page = (tmp_path / 'page' / 'index.html').read_text()
    assert 'Classes: 2.' in page and '<th scope="row">square</th>' not in page and 'arXiv 2004.04989' not in page


def test_a_class_that_is_not_in_the_data(mine: Path, tmp_path: Path):
    line = error_line(here('train.py', ROOT / CONFIG, *NETWORK, *named(mine, 'train', 'val'), '--classes',
                           'circle,tringle', '--work-dir', tmp_path))
    assert line == (f"error: {mine / 'train.json'}: none of its 3 categories (circle, square, triangle) is called "
                    "'tringle'; did you mean 'triangle'?")


def test_a_file_that_is_not_there(tmp_path: Path):
    line = error_line(here('train.py', ROOT / CONFIG, *NETWORK, *named(tmp_path, 'train', 'val'), '--classes', 'auto'))
    assert f'{tmp_path}/train.json: no such annotation file' in line
