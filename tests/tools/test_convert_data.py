"""tools/convert_data.py as a user runs it: to COCO's format, a training on the result, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import CONFIG, OPTIONS, ROOT, error_line
from tests.tools.helpers import here, succeeded


@pytest.fixture(scope='module')
def voc(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shapes in VOC's format."""
    folder = tmp_path_factory.mktemp('voc') / 'VOC'
    printed = succeeded(here('convert_data.py', shapes, folder, '--from', 'coco', '--to', 'voc'))
    assert 'train: 6 images' in printed and 'classes: circle, square, triangle' in printed
    return folder


def test_a_training_on_what_was_voc(voc: Path, shapes: Path, tmp_path: Path):
    succeeded(here('convert_data.py', voc, tmp_path / 'coco', '--from', 'voc', '--link'))
    for split in ('train2017', 'val2017'):
        new, old = (json.loads((root / 'annotations' / f'instances_{split}.json').read_text())
                    for root in (tmp_path / 'coco', shapes))
        assert [one['bbox'] for one in new['annotations']] == [pytest.approx(one['bbox']) for one in old['annotations']]
    printed = succeeded(here('train.py', ROOT / CONFIG, '--data-root', tmp_path / 'coco', '--classes', 'auto',
                             '--backbone', 'iresnet18', '--work-dir', tmp_path / 'run', '--cfg-options', *OPTIONS,
                             'train_dataloader.dataset.indices=2', 'model.test_cfg.nms_pre=20'))
    assert 'Epoch(train) [1][1/1]' in printed and 'coco/AP' in printed


def test_a_share_of_a_plain_folder(voc: Path, tmp_path: Path):
    command = ('convert_data.py', voc / 'Annotations', tmp_path / 'new' / 'out', '--from', 'voc', '--images',
               voc / 'JPEGImages', '--val-share', 0.25, '--classes', 'square')
    printed = succeeded(here(*command))
    assert 'val: 2 images' in printed and 'classes: square\n' in printed
    assert 'exists and is not empty' in error_line(here(*command))


@pytest.mark.parametrize('arguments, says', [
    (('absent', 'out', '--from', 'voc', '--val-share', '0.5'), 'absent: no such file or folder'),
    (('{voc}', 'out', '--from', 'voc', '--images', 'absent'), 'absent: no such folder of images'),
    (('{voc}', 'out', '--from', 'voc', '--val', 'absent'), 'absent: no such file or folder'),
    (('{voc}', 'out', '--from', 'voc', '--val-images', 'x'), '--val-images: needs --val'),
    (('{voc}', 'out', '--from', 'voc', '--val-share', '0.5'), 'leave out --val and --val-share'),
    (('{voc}', 'out', '--from', 'yolo', '--val-share', '0.5'), 'classes.txt: no such list of classes'),
    (('{voc}', 'out', '--from', 'cvat', '--val-share', '0.5'), 'annotations.xml: no such file'),
    (('{voc}', 'out', '--from', 'labelme', '--val-share', '0.5'), 'no JSON files'),
    (('{voc}', 'out', '--from', 'coco'), 'instances_train2017.json: no such annotation file'),
    (('{voc}', 'out', '--from', 'voc', '--classes', 'sqare'), "no class is called 'sqare'; did you mean 'square'?"),
])
def test_what_is_no_data_set(voc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple, says: str):
    monkeypatch.chdir(tmp_path)
    assert says in error_line(here('convert_data.py', *(word.format(voc=voc) for word in arguments)))
    assert not list(tmp_path.iterdir()), 'nothing is left'
