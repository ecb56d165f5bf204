"""Annotation files: what is refused, and how it is told."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from mmext.detection.annotations import check_classes, read_annotations
from mmext.errors import UserError

GOOD = {
    'images': [{'id': 1, 'file_name': 'a.jpg', 'height': 10, 'width': 10}],
    'annotations': [{'id': 7, 'image_id': 1, 'category_id': 3, 'bbox': [1, 2, 3, 4], 'area': 12}],
    'categories': [{'id': 3, 'name': 'cat'}, {'id': 5, 'name': 'dog'}],
}


def refused(tmp_path: Path, change) -> str:
    content = copy.deepcopy(GOOD)
    change(content)
    path = tmp_path / 'instances.json'
    path.write_text(json.dumps(content))
    with pytest.raises(UserError) as caught:
        read_annotations(path)
    assert str(path) in str(caught.value) and '\n' not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize('change, says', [
    (lambda c: c.pop('categories'), "no list 'categories'"),
    (lambda c: c.update(images={}), "no list 'images'"),
    (lambda c: c['annotations'][0].pop('bbox'), 'annotations[0] has no bbox'),
    (lambda c: c['images'][0].pop('width'), 'images[0] has no width'),
    (lambda c: c['annotations'][0].update(image_id=2), 'no image 2'),
    (lambda c: c['annotations'][0].update(category_id=4), 'no category 4'),
    (lambda c: c['annotations'][0].update(bbox=[1, 2, 3]), 'is not [x, y, width, height]'),
    (lambda c: c['annotations'][0].update(bbox=[1, 2, None, 3]), 'is not [x, y, width, height]'),
    (lambda c: c['annotations'].append(c['annotations'][0]), '2 annotations have the id 7'),
    (lambda c: c['images'].append(c['images'][0]), '2 images have the id 1'),
    (lambda c: c['annotations'][0].update(image_id='1'), "annotations[0]: image_id '1' is not a 64-bit integer"),
    (lambda c: c['annotations'][0].update(image_id=[1]), 'annotations[0]: image_id [1] is not a 64-bit integer'),
    (lambda c: c['annotations'][0].update(category_id=3.0), 'category_id 3.0 is not a 64-bit integer'),
    (lambda c: c['annotations'][0].update(id={}), 'its id {} is neither an integer nor text'),
    (lambda c: c['annotations'][0].update(bbox=[1, 2, float('nan'), 3]), 'in finite numbers'),
    (lambda c: c['annotations'][0].update(bbox=[1, 2, float('inf'), 3]), 'in finite numbers'),
    (lambda c: c['annotations'][0].update(bbox=[1, 2, '3', 4]), 'in finite numbers'),
    (lambda c: c['annotations'][0].update(bbox=[1, 2, True, 4]), 'in finite numbers'),
    (lambda c: c['annotations'][0].update(bbox=[1, 2, -3, 4]), 'bbox [1, 2, -3, 4] has a negative size'),
    (lambda c: c['annotations'][0].update(area='12'), "area '12' is not a number"),
    (lambda c: c['annotations'][0].update(area=-1), 'area -1 is not a number of pixels'),
    (lambda c: c['annotations'][0].update(area=float('nan')), 'area nan is not a number'),
    (lambda c: c['annotations'][0].update(iscrowd='0'), "iscrowd '0' is neither 0 nor 1"),
    (lambda c: c['images'][0].update(id='1'), "images[0]: its id '1' is not a 64-bit integer"),
    (lambda c: c['images'][0].update(id=[1]), 'images[0]: its id [1] is not a 64-bit integer'),
    (lambda c: c['images'][0].update(file_name=7), 'images[0]: file_name 7 is not the name of a file'),
    (lambda c: c['images'][0].update(file_name=''), "images[0]: file_name '' is not the name of a file"),
    (lambda c: c['images'][0].update(height='10'), "images[0]: height '10' is not a number of pixels"),
    (lambda c: c['images'][0].update(width=0), 'images[0]: width 0 is not a number of pixels'),
    (lambda c: c['images'][0].update(width=float('inf')), 'images[0]: width inf is not a number of pixels'),
    (lambda c: c['categories'][0].update(name={'en': 'cat'}), "categories[0]: name {'en': 'cat'} is not the name of"),
    (lambda c: c['categories'][0].update(name=1), 'categories[0]: name 1 is not the name of a class'),
    (lambda c: c['categories'][0].update(id='3'), "categories[0]: its id '3' is not a 64-bit integer"),
    (lambda c: c['annotations'][0].update(bbox=[1, 2, 1e39, 3]), 'in finite numbers'),  # infinite in float32
    (lambda c: c['annotations'][0].update(bbox=[1, 2, 2**70, 3]), 'in finite numbers'),
    (lambda c: c['images'][0].update(width=2**70), 'is not a number of pixels'),
    (lambda c: c['images'][0].update(id=2**70), f'its id {2**70} is not a 64-bit integer'),
    (lambda c: c['annotations'][0].update(image_id=True), 'image_id True is not a 64-bit integer'),
    (lambda c: c['categories'][1].update(name='cat'), "two categories have the same name ('cat')"),
])
def test_malformed(tmp_path: Path, change, says: str):
    assert says in refused(tmp_path, change)


@pytest.mark.parametrize('text, says', [
    ('[1, 2]', 'contains an object'), ('{"images": [', 'cut short'), ('', 'not JSON')])
def test_not_annotations(tmp_path: Path, text: str, says: str):
    (tmp_path / 'x.json').write_text(text)
    with pytest.raises(UserError, match=says):
        read_annotations(tmp_path / 'x.json')


def test_good_ones_pass(tmp_path: Path):
    (tmp_path / 'x.json').write_text(json.dumps(GOOD))
    check_classes('x.json', read_annotations(tmp_path / 'x.json'), ('cat', 'dog'))
    (tmp_path / 'empty.json').write_text(json.dumps(dict(GOOD, images=[], annotations=[])))
    read_annotations(tmp_path / 'empty.json')


def test_classes_in_any_order_and_some_of_them():
    check_classes('x.json', GOOD, ('dog', 'cat'))
    check_classes('x.json', GOOD, ('dog', ), subset=True)
    with pytest.raises(UserError, match='are not the 1 classes'):
        check_classes('x.json', GOOD, ('cat', ))
    with pytest.raises(UserError) as caught:
        check_classes('x.json', GOOD, ('dog', 'cta'), subset=True)
    assert str(caught.value) == "x.json: none of its 2 categories (cat, dog) is called 'cta'; did you mean 'cat'?"


def test_real_annotations_pass(coco_tiny: Path):
    for split in ('train2017', 'val2017'):
        content = read_annotations(coco_tiny / 'annotations' / f'instances_{split}.json')
        assert len(content['categories']) == 80
