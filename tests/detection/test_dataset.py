"""COCO data sets: what is left out of a training is told, and nothing left is refused."""

from __future__ import annotations

import copy
import json
import logging
import pickle
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from mmengine.dataset import ConcatDataset
from PIL import Image
from torch.utils.data import DataLoader

from mmext.detection import CocoDataset, usable
from mmext.detection import dataset as module
from mmext.engine.agreement import require_members
from mmext.errors import UserError

CONTENT = {
    'images': [dict(id=i, file_name=f'{i}.png', width=100, height=80) for i in range(1, 5)],
    'annotations': [dict(id=i, image_id=i, category_id=3, bbox=[10, 10, 20, 30], area=600, iscrowd=0)
                    for i in range(1, 4)],
    'categories': [dict(id=3, name='cat'), dict(id=5, name='dog')],
}
FILTER = dict(filter_empty_gt=True, min_size=32)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the log gets."""
    lines: list[str] = []
    for place in (module, usable):
        monkeypatch.setattr(place, 'print_log', lambda text, *_: lines.append(text))
    return lines


@pytest.fixture
def build(tmp_path: Path):
    """build(change, ...) -> the data set, after a change of the content."""
    for i in range(1, 5):
        Image.new('RGB', (100, 80)).save(tmp_path / f'{i}.png')

    def built(change=lambda content: None, **options) -> CocoDataset:
        content = copy.deepcopy(CONTENT)
        change(content)
        (tmp_path / 'train.json').write_text(json.dumps(content))
        options = dict(dict(filter_cfg=FILTER, metainfo=dict(classes=('cat', 'dog')), pipeline=[]), **options)
        return CocoDataset(ann_file=str(tmp_path / 'train.json'), data_prefix=dict(img=str(tmp_path)), **options)

    return built


def boxes(*values: list, **fields):
    """A change: all boxes become these, in turn."""
    def change(content: dict) -> None:
        for i, annotation in enumerate(content['annotations']):
            annotation.update(bbox=values[i % len(values)] if values else annotation['bbox'], **fields)
    return change


def refused(build, *arguments, **options) -> str:
    with pytest.raises(UserError) as caught:
        build(*arguments, **options)
    assert '\n' not in str(caught.value) and 'train.json' in str(caught.value)
    return str(caught.value)


def test_members_of_each_class(build, told):
    data = build()
    assert len(data) == 3 and data.members == [3, 0]
    assert told == [f'{data.ann_file}: trains without 1 of the 4 images (1 without an object)']
    assert build(boxes(iscrowd=1), test_mode=True).members == [0, 0] and len(build(test_mode=True)) == 4
    assert len(told) == 1, 'a test leaves nothing out'


def test_boxes_that_are_left_out_are_counted(build, told):
    data = build(boxes([10, 10, 20, 30], [100, 10, 20, 30], [10, 10, 0.5, 30]), filter_cfg=None)
    assert len(data) == 4 and data.members == [1, 0]
    assert told == [f'{data.ann_file}: trains without 2 of the 3 boxes (1 outside of the image, 1 smaller than a '
                    'pixel)']


@pytest.mark.parametrize('change, says', [
    (boxes(area=0), 'none of its 3 boxes can be trained on: 3 of area 0'),
    (boxes(iscrowd=1), 'none of its 3 boxes can be trained on: 3 a crowd'),
    (boxes(ignore=1), 'none of its 3 boxes can be trained on: 3 marked to be ignored'),
    (boxes([10, 10, 0, 30]), '3 without width or height'),
    (boxes([0.1, 0.2, 0.3, 0.3], area=0.09), "3 smaller than a pixel; they look like fractions of the image size"),
    (boxes([500, 10, 20, 30]), '3 outside of the image'),
    (lambda content: content.update(images=[], annotations=[]), 'it has no images'),
])
@pytest.mark.parametrize('filter_cfg', [FILTER, None])
def test_nothing_to_train_on(build, change, says: str, filter_cfg: dict | None):
    assert says in refused(build, change, filter_cfg=filter_cfg)


def test_no_annotations(build, told):
    def clear(content: dict) -> None:
        content['annotations'].clear()
    assert 'it has no annotations, so there is nothing to train on' in refused(build, clear)
    background = build(clear, filter_cfg=None)
    assert len(background) == 4 and background.members == [0, 0] and not told
    with pytest.raises(UserError, match='train.json: nothing in it can be trained on: no class has a sample'):
        require_members(DataLoader(background))
    require_members(DataLoader(ConcatDataset([build(), background])))


def test_images_that_are_all_too_small(build, told):
    line = refused(build, filter_cfg=dict(FILTER, min_size=81))
    assert 'none of its 4 images can be trained on: 4 with a side below filter_cfg.min_size=81' in line
    assert 'min_size or filter_empty_gt of train_dataloader.dataset.filter_cfg' in line
    build(lambda content: content['images'][0].update(width=20))
    assert '2 of the 4 images (1 with a side below filter_cfg.min_size=32, 1 without an object)' in told[-1]


def test_mmdet_leaves_out_what_we_count(build):
    """Random boxes: each is either an instance or has a reason."""
    rng = np.random.default_rng(0)

    def change(content: dict) -> None:
        content['annotations'] = [
            dict(id=i, image_id=1, category_id=3, area=int(rng.integers(-1, 3).clip(0)), iscrowd=0,
                 ignore=int(rng.random() < 0.1), bbox=[*rng.integers(-40, 120, 2).tolist(), *rng.choice(
                     [0, 0.5, 1, 30, 60], 2).tolist()]) for i in range(300)]

    with mock.patch.object(usable.Tally, 'log_left_out'):
        data = build(change, filter_cfg=None)
    assert data.members[0] + sum(data.tally.left_out.values()) == 300
    assert data.members[0] > 20 and len(data.tally.left_out) == 5


def test_classes_that_are_some_of_the_categories(build, told):
    options = dict(metainfo=dict(classes=('cat', )), filter_cfg=None)
    assert 'are not the 1 classes of the config' in refused(build, **options)
    data = build(lambda content: content['annotations'][0].update(category_id=5), subset=True, **options)
    assert data.members == [2]
    assert told == [f'{data.ann_file}: trains without 1 of the 3 boxes (1 of no class of the config)']
    assert "is called 'cow'" in refused(build, subset=True, metainfo=dict(classes=('cat', 'cow')))
    assert build(subset=True, test_mode=True, **options).members == [3]
    assert told[-1].endswith('1 of its categories are not among the classes, and do not count: dog')


@pytest.mark.parametrize('classes', [('cat', 'dog'), ('dog', 'cat')])
def test_labels_are_in_the_order_of_the_classes(build, told, classes: tuple[str, ...]):
    data = build(lambda content: content['annotations'][0].update(category_id=5), metainfo=dict(classes=classes))
    labels = [instance['bbox_label'] for info in (data.get_data_info(i) for i in range(3))
              for instance in info['instances']]
    assert [classes[label] for label in labels] == ['dog', 'cat', 'cat']
    assert dict(zip(classes, data.members)) == dict(cat=2, dog=1)


def test_a_backslash_is_named_as_the_cause(build):
    def change(content: dict) -> None:
        for image in content['images']:
            image['file_name'] = f'sub\\{image["file_name"]}'
    assert "their names have backslashes, as Windows writes paths: replace them by '/'" in refused(build, change)
    assert 'have backslashes' not in refused(build, lambda content: [image.update(file_name='x.png')
                                                              for image in content['images']])


def test_real_data_lose_what_mmdet_leaves_out(coco_tiny: Path, caplog):
    with caplog.at_level(logging.INFO):
        data = CocoDataset(data_root=str(coco_tiny), ann_file='annotations/instances_train2017.json',
                           data_prefix=dict(img='train2017'), filter_cfg=FILTER)
    assert sum(data.members) + sum(data.tally.left_out.values()) <= data.tally.boxes == 705


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16'])
def test_annotations_are_read_in_one_way(build, tmp_path: Path, encoding: str):
    """pycocotools, which mmdet has read the file a second time, takes UTF-8 without a byte-order mark alone."""
    plain = build().load_data_list()
    text = json.dumps(dict(CONTENT, info=dict(contributor='Zoë')), ensure_ascii=False)
    (tmp_path / 'mine.json').write_bytes(text.encode(encoding))
    options = dict(filter_cfg=FILTER, metainfo=dict(classes=('cat', 'dog')), pipeline=[])
    dataset = CocoDataset(ann_file='mine.json', data_root=str(tmp_path), data_prefix=dict(img=''), **options)
    assert dataset.load_data_list() == plain and len(plain) == 4
    assert len(pickle.loads(pickle.dumps(dataset))) == len(dataset)
