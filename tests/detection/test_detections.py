"""Files of detections in COCO's result format: what is written, read and refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from mmext.detection import detections as subject
from mmext.detection.evaluation import GroundTruth
from mmext.errors import UserError

TRUTH = GroundTruth('instances.json', [dict(id=7), dict(id=8)], [], {3: 'cat', 5: 'dog', 9: 'cow'}, [5, 3])
GOOD = dict(image_id=7, category_id=3, bbox=[1, 2.5, 0, 4], score=0.25)


def read(tmp_path: Path, content: object) -> list[dict]:
    path = tmp_path / 'found.json'
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return subject.read_detections(path, TRUTH)


def without(key: str) -> dict:
    return {name: value for name, value in GOOD.items() if name != key}


@pytest.mark.parametrize('change, says', [
    (dict(image_id=9), 'image_id 9 is not an image of instances.json'),
    (dict(image_id='7'), 'image_id "7" is not an image'),
    (dict(image_id=7.0), 'image_id 7.0 is not an image'),
    (dict(image_id=[7]), 'image_id [7] is not an image'),
    (dict(category_id=4), 'category_id 4 is not a category of instances.json'),
    (dict(category_id=None), 'category_id null is not a category'),
    (dict(category_id=True), 'category_id true is not a category'),
    (dict(category_id=9), 'category_id 9 (cow) is not one of the classes of the config'),
    (dict(bbox=[1, 2, 3]), 'bbox [1, 2, 3] is not [x, y, width, height]'),
    (dict(bbox='1 2 3 4'), 'bbox "1 2 3 4" is not [x, y, width, height]'),
    (dict(bbox=[1, 2, '3', 4]), 'bbox [1, 2, "3", 4] is not'),
    (dict(bbox=[1, 2, 3, float('nan')]), 'bbox [1, 2, 3, NaN] is not [x, y, width, height] in finite numbers'),
    (dict(bbox=[float('-inf'), 2, 3, 4]), 'in finite numbers'),
    (dict(bbox=[10 ** 400, 2, 3, 4]), '... is not [x, y, width, height] in finite numbers'),
    (dict(bbox=[1, 2, -3, 4]), 'bbox [1, 2, -3, 4] has a negative size'),
    (dict(bbox=[1, 2, 3, -0.5]), 'has a negative size'),
    (dict(score='0.9'), 'score "0.9" is not a finite number'),
    (dict(score=None), 'score null is not'),
    (dict(score=True), 'score true is not'),
    (dict(score=float('inf')), 'score Infinity is not'),
])
def test_malformed_entries(tmp_path: Path, change: dict, says: str):
    with pytest.raises(UserError) as caught:
        read(tmp_path, [GOOD, GOOD, dict(GOOD, **change), dict(GOOD, score='worse')])
    line = str(caught.value)
    assert line.startswith(f'{tmp_path}/found.json: entry 2: ') and says in line
    assert '\n' not in line and len(line) < 250 + len(str(tmp_path))


@pytest.mark.parametrize('content, says', [
    ([GOOD, 3], 'entry 1: a int, not an object'),
    ([without('bbox')], 'entry 0: no bbox'),
    ([GOOD, {}], 'entry 1: no image_id, category_id, bbox and 1 more'),
    (dict(annotations=[GOOD]), "COCO's result format are a list, this is a dict"),
    ('3', 'a list, this is a int'),
    ('', 'not JSON, or cut short'),
    ('[{"image_id": 7, "categ', 'not JSON, or cut short'),
    ('[' * 100_000, 'not JSON, or cut short'),
    ('\udcff'.encode('utf-8', 'surrogatepass').decode('latin-1'), 'not JSON, or cut short'),
])
def test_malformed_files(tmp_path: Path, content: object, says: str):
    with pytest.raises(UserError, match=re.escape(says)) as caught:
        read(tmp_path, content)
    assert str(caught.value).startswith(f'{tmp_path}/found.json: ') and '\n' not in str(caught.value)


def test_files_that_are_none(tmp_path: Path):
    for path, says in ((tmp_path / 'none.json', 'no such file'), (tmp_path, 'Is a directory')):
        with pytest.raises(UserError, match=f'^{re.escape(str(path))}: {says}'):
            subject.read_detections(path, TRUTH)


def test_what_is_read(tmp_path: Path):
    assert read(tmp_path, []) == [], 'a detector may find nothing'
    whole = dict(GOOD, segmentation=[[1, 2]], area=3, id=4)
    assert read(tmp_path, [whole, GOOD]) == [GOOD, GOOD]


def test_arrays_become_detections():
    boxes = np.array([[1, 2, 4, 8], [0.1, 0.2, 0.3, 0.7]], np.float32)
    scores, labels = np.array([0.9, 0.1], np.float32), np.array([1, 0])
    none = (8, np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))
    found, left_out = subject.from_arrays([(7, boxes, scores, labels), none], TRUTH.category_ids)
    single = [float(number) for number in boxes[1]]
    assert left_out == 0 and found == [
        dict(image_id=7, category_id=3, bbox=[1.0, 2.0, 3.0, 6.0], score=float(np.float32(0.9))),
        dict(image_id=7, category_id=5, score=float(np.float32(0.1)),
             bbox=[single[0], single[1], single[2] - single[0], single[3] - single[1]])]


def test_what_is_no_box_is_left_out():
    boxes = np.array([[1, 2, 3, 4], [1, 2, 0, 4], [1, 2, 3, 1], [np.nan, 2, 3, 4], [1, 2, np.inf, 4], [1, 2, 1, 2],
                      [0, 0, 9, 9]])
    scores = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, np.nan])
    found, left_out = subject.from_arrays([(7, boxes, scores, np.zeros(7, int))], [5, 3])
    assert left_out == 5 and [entry['score'] for entry in found] == [0.1, 0.6]


def test_numbers_come_back_bit_for_bit(tmp_path: Path):
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 300, (50, 4)).astype(np.float32)
    boxes = np.sort(corners.reshape(50, 2, 2), axis=1).reshape(50, 4)
    found, _ = subject.from_arrays([(8, boxes, rng.random(50).astype(np.float32), rng.integers(0, 2, 50))], [5, 3])
    subject.write_detections(tmp_path / 'new' / 'found.json', found)
    assert subject.read_detections(tmp_path / 'new' / 'found.json', TRUTH) == found


def test_the_whole_file_or_none(tmp_path: Path):
    path = tmp_path / 'found.json'
    subject.write_detections(path, [GOOD])
    with pytest.raises(ValueError):
        subject.write_detections(path, [dict(GOOD, score=float('nan'))])
    assert json.loads(path.read_text()) == [GOOD] and list(tmp_path.iterdir()) == [path]
