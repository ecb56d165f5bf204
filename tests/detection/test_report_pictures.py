"""A report's pictures: which images are chosen, and what is drawn into them."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image

from mmext.detection.report.analysis import Box, ImageResult
from mmext.detection.report.page import TRAINING
from mmext.detection.report.pictures import choose, describe_boxes, draw_pair, draw_results
from mmext.report.sections import training_curves

FOUND, WRONG, CROWD = (0, 0x72, 0xb2), (0xd5, 0x5e, 0), (0x6b, 0x72, 0x80)


def result(i: int, tp: int, fp: int, fn: int) -> ImageResult:
    return ImageResult(i, f'{i}.jpg', tp, fp, fn, 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 1.0, [], [])


def test_best_and_worst():
    results = [result(1, 1, 0, 0), result(2, 3, 0, 0), result(3, 0, 0, 1), result(4, 0, 2, 2), result(5, 0, 0, 0),
               result(6, 1, 1, 0), result(7, 1, 0, 0)]
    best, worst = choose(results, 3)
    assert [chosen.image_id for chosen in best] == [2, 1, 7]
    assert [chosen.image_id for chosen in worst] == [4, 3, 6]
    best, worst = choose(results, 4)
    assert [chosen.image_id for chosen in best] == [2, 1, 7, 6]
    assert [chosen.image_id for chosen in worst] == [4, 3]
    assert choose([], 3) == ([], [])


def test_what_a_picture_shows_is_told():
    boxes = [Box([], 'cat', True), Box([], 'dog', False), Box([], 'cat', False), Box([], 'cow', None)]
    assert describe_boxes(boxes, 'missed') == '2 cat, 1 dog, 1 cow; missed: 1 dog, 1 cat'
    assert describe_boxes(boxes[:1], 'wrong') == '1 cat' and describe_boxes([], 'wrong') == 'none'


def test_boxes_are_drawn_where_they_are():
    image = Image.new('RGB', (400, 200))
    boxes = [Box([40, 100, 80, 60], 'cat', True), Box([400, 100, 80, 60], 'dog', False, 0.5),
             Box([600, 200, 80, 60], 'cow', None)]
    drawn = np.asarray(draw_results(image, boxes, 0.5)).astype(int)
    for left, top, color in ((20, 50, FOUND), (200, 50, WRONG), (300, 100, CROWD)):
        assert (drawn[top:top + 31, [left, left + 40]] == color).all()
        assert (drawn[[top, top + 30], left:left + 41] == color).all()
        assert not drawn[top + 2:top + 29, left + 2:left + 39].any()
        assert drawn[top - 10:top - 5, left:left + 30].any()  # a label
    assert not np.asarray(image).any()


def test_colours_and_size_of_a_large_image(tmp_path: Path):
    Image.new('RGB', (1200, 600), (250, 120, 10)).save(tmp_path / '1.jpg')
    pair = draw_pair(tmp_path, result(1, 0, 0, 0))
    for uri in (pair.truth, pair.found):
        image = Image.open(io.BytesIO(base64.b64decode(uri.removeprefix('data:image/jpeg;base64,'))))
        assert image.size == (400, 200)
        assert np.abs(np.asarray(image).astype(int) - (250, 120, 10)).max() < 5


def test_labels_do_not_hide_each_other():
    boxes = [Box([10, 50, 60, 60], 'cat', True, 0.9), Box([12, 52, 60, 60], 'dog', False, 0.8)]
    drawn = np.asarray(draw_results(Image.new('RGB', (200, 200)), boxes, 1.0)).astype(int)
    blue, orange = ((drawn == color).all(2) for color in (FOUND, WRONG))
    assert blue[32:49, 10:50].mean() > 0.6 and not orange[32:49, 10:50].any()
    assert orange[52:68, 20:50].mean() > 0.6


def test_training_curves():
    records = [dict(mode='train', iter=10, loss=5.0, loss_cls=3.0, lr=0.1),
               dict(mode='train', iter=20, loss=float('nan'), loss_cls=2.0, lr=0.1),
               dict(mode='val', iter=20, **{'coco/bbox_mAP': 0.3, 'coco/AR1': 0.2}),
               dict(mode='train', iter=30, loss=4.0, loss_cls=1.0, lr=0.01)]
    assert training_curves(records, TRAINING) == {
        'Loss': dict(total=([10, 30], [5.0, 4.0]), classes=([10, 20, 30], [3.0, 2.0, 1.0])),
        'Learning rate': {'learning rate': ([10, 20, 30], [0.1, 0.1, 0.01])}, 'Validation': dict(AP=([20], [0.3]))}
    assert training_curves([], TRAINING) == {}
