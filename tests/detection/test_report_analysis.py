"""The numbers of a report: hotcoco's against pycocotools', and against cases counted by hand."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmext.detection.evaluation import NAMES
from mmext.detection.report.analysis import Analysis, analyse
from mmext.errors import UserError
from mmext.report.confusion import most_confused, submatrix, top_confusions

CAT, DOG = 5, 2
A, FAR = [10, 10, 50, 50], [120, 120, 50, 50]
ROUGH_A, NEAR_A = [20, 10, 50, 50], [30, 10, 50, 50]  # IoU with A: 2/3 and 3/7
EMPTY = [10, 140, 20, 20]
OBJECTS = [(1, CAT, A), (1, DOG, FAR), (2, CAT, A), (2, CAT, FAR)]
FOUND = [(1, CAT, A, 0.9), (1, DOG, FAR, 0.8), (2, CAT, ROUGH_A, 0.7), (2, CAT, FAR, 0.6)]


def annotations(objects: list[tuple]) -> dict:
    """(image, category, box[, crowd]) of each object -> the content of an annotation file with two images."""
    return dict(
        images=[dict(id=i, file_name=f'{i}.jpg', width=200, height=200) for i in (1, 2)],
        categories=[dict(id=CAT, name='cat'), dict(id=DOG, name='dog')],
        annotations=[dict(id=i, image_id=image, category_id=category, bbox=box, area=box[2] * box[3],
                          iscrowd=int(bool(crowd))) for i, (image, category, box, *crowd) in enumerate(objects, 1)])


def analysed(found: list[tuple], objects: list[tuple] = OBJECTS, score: float = 0.3) -> Analysis:
    detections = [dict(image_id=image, category_id=category, bbox=box, score=score)
                  for image, category, box, score in found]
    return analyse(annotations(objects), detections, [CAT, DOG], score)


def jittered(content: dict) -> list[dict]:
    """Ground truth, shifted, partly mislabelled, some of it twice."""
    rng = np.random.default_rng(0)
    categories = [category['id'] for category in content['categories']]
    found = []
    for annotation in content['annotations']:
        for _ in range(rng.integers(0, 3)):
            x, y, w, h = annotation['bbox']
            box = [x + w * rng.normal(0, 0.08), y + h * rng.normal(0, 0.08), w * rng.uniform(0.8, 1.2), h]
            category = annotation['category_id'] if rng.random() < 0.8 else int(rng.choice(categories))
            found.append(dict(image_id=annotation['image_id'], category_id=category, bbox=box,
                              score=float(rng.random())))
    return found


def test_twelve_metrics_and_curves_equal_pycocotools_on_crowds(coco_tiny: Path):
    path = coco_tiny / 'annotations' / 'instances_val2017.json'
    content = json.loads(path.read_text())
    assert any(annotation['iscrowd'] for annotation in content['annotations'])
    found = jittered(content)
    ids = [category['id'] for category in content['categories']][::-1]  # the tables' order is the caller's
    analysis = analyse(content, found, ids, 0.3)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(path))
        reference = COCOeval(truth, truth.loadRes(found), 'bbox')
        reference.evaluate()
        reference.accumulate()
        reference.summarize()
    assert list(analysis.metrics) == list(NAMES)
    np.testing.assert_allclose(list(analysis.metrics.values()), reference.stats, rtol=0, atol=1e-12)
    precision = reference.eval['precision'][:, :, ::-1, 0, -1]
    np.testing.assert_allclose(analysis.precision, precision, rtol=0, atol=1e-12)
    np.testing.assert_allclose(analysis.recalls, reference.params.recThrs, rtol=0, atol=1e-12)
    for i, cls in enumerate(analysis.classes):
        assert cls.name == truth.cats[ids[i]]['name']
        assert cls.ap == pytest.approx(precision[:, :, i].mean(), abs=1e-12)
        assert cls.ap50 == pytest.approx(precision[0, :, i].mean(), abs=1e-12)
        assert cls.ap75 == pytest.approx(precision[5, :, i].mean(), abs=1e-12)
        objects = [a for a in truth.loadAnns(truth.getAnnIds(catIds=[ids[i]])) if not a['iscrowd']]
        assert (cls.objects, cls.images) == (len(objects), len({a['image_id'] for a in objects}))
        assert cls.detections == sum(detection['category_id'] == ids[i] for detection in found)
    assert 0.1 < analysis.metrics['AP50'] < 0.9


def test_confusion_on_real_data_counts_every_object_and_detection_once(coco_tiny: Path):
    content = json.loads((coco_tiny / 'annotations' / 'instances_val2017.json').read_text())
    found = jittered(content)
    ids = [category['id'] for category in content['categories']]
    analysis = analyse(content, found, ids, 0.5)
    objects = [sum(a['category_id'] == category and not a['iscrowd'] for a in content['annotations'])
               for category in ids]
    assert analysis.confusion[:-1].sum(1).tolist() == objects
    counted = sum(box.good is not None for image in analysis.images for box in image.detections)
    assert analysis.confusion[:, :-1].sum() == counted
    assert counted < sum(detection['score'] >= 0.5 for detection in found)  # the rest lies in crowds


# FOUND with one change -> TIDE's counts of errors, and the types whose repair raises AP50.
ERRORS = {
    'right': (FOUND, {}, set()),
    'duplicate': ([*FOUND, (1, CAT, A, 0.65)], {'Dupe': 1}, {'Dupe'}),
    'wrong class': ([(1, DOG, A, 0.9), *FOUND[1:]], {'Cls': 1}, {'Cls'}),
    'bad box': ([(1, CAT, NEAR_A, 0.9), *FOUND[1:]], {'Loc': 1}, {'Loc'}),
    'both': ([(1, DOG, NEAR_A, 0.9), *FOUND[1:]], {'Both': 1, 'Miss': 1}, {'Both', 'Miss'}),
    'background': ([(1, CAT, EMPTY, 0.95), *FOUND], {'Bkg': 1}, {'Bkg'}),
    'missed': (FOUND[1:], {'Miss': 1}, {'Miss'}),
}


@pytest.mark.parametrize('found, counts, costly', ERRORS.values(), ids=ERRORS)
def test_each_error_shows_up_in_its_own_type(found: list, counts: dict, costly: set):
    errors = analysed(found).errors
    kinds = ('Cls', 'Loc', 'Both', 'Dupe', 'Bkg', 'Miss')
    assert {kind: errors['counts'][kind] for kind in kinds} == {kind: counts.get(kind, 0) for kind in kinds}
    assert {kind for kind in kinds if errors['delta_ap'][kind] > 1e-9} == costly
    assert errors['ap_base'] == pytest.approx(analysed(found).metrics['AP50'])


def test_what_an_error_costs():
    """Two of three cats found, all right: precision 1 up to recall 2/3, which is 67 of 101 points; dogs stay at 1."""
    errors = analysed(FOUND[1:]).errors
    assert errors['ap_base'] == pytest.approx((67 / 101 + 1) / 2)
    assert errors['delta_ap']['Miss'] == pytest.approx((1 - 67 / 101) / 2)


# Rows cat, dog, background; columns the same.
MATRICES = {
    'right': [[3, 0, 0], [0, 1, 0], [0, 0, 0]],
    'duplicate': [[3, 0, 0], [0, 1, 0], [1, 0, 0]],
    'wrong class': [[2, 1, 0], [0, 1, 0], [0, 0, 0]],
    'bad box': [[2, 0, 1], [0, 1, 0], [1, 0, 0]],
    'both': [[2, 0, 1], [0, 1, 0], [0, 1, 0]],
    'background': [[3, 0, 0], [0, 1, 0], [1, 0, 0]],
    'missed': [[2, 0, 1], [0, 1, 0], [0, 0, 0]],
}


@pytest.mark.parametrize('case', ERRORS)
def test_confusion_matrix(case: str):
    assert analysed(ERRORS[case][0]).confusion.tolist() == MATRICES[case]


def test_confusion_goes_by_score_then_by_overlap_whatever_the_class():
    near = [14, 10, 50, 50]
    objects = [(1, CAT, A), (1, DOG, near)]
    assert analysed([(1, DOG, A, 0.9)], objects).confusion.tolist() == [[0, 1, 0], [0, 0, 1], [0, 0, 0]]
    both = analysed([(1, DOG, A, 0.9), (1, CAT, A, 0.8)], objects)
    assert both.confusion.tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 0]]


def test_weak_detections_count_in_ap_but_not_in_confusion_and_images():
    weak = analysed([*FOUND, (1, CAT, EMPTY, 0.29)])
    assert weak.confusion.tolist() == MATRICES['right']
    assert weak.errors['counts']['Bkg'] == 1 and weak.classes[0].detections == 4
    assert len(weak.images[0].detections) == 2
    assert analysed([*FOUND, (1, CAT, EMPTY, 0.3)]).confusion.tolist() == MATRICES['background']


def test_detections_in_a_crowd_of_their_class_do_not_count():
    crowd = [*OBJECTS, (1, CAT, [0, 100, 90, 90], True)]
    inside = (1, CAT, [10, 110, 20, 20], 0.99)
    analysis = analysed([*FOUND, inside], crowd)
    assert analysis.confusion.tolist() == MATRICES['right']
    assert not any(analysis.errors['counts'].values())
    assert analysis.calibration['num_detections'] == 4
    image = analysis.images[0]
    assert (image.tp, image.fp, image.fn) == (2, 0, 0)
    assert [box.good for box in image.objects] == [True, True, None]
    assert [(box.good, box.score) for box in image.detections] == [(True, 0.8), (True, 0.9), (None, 0.99)]
    assert analysis.classes[0].objects == 3
    assert analysed([*FOUND, (1, DOG, inside[2], 0.99)], crowd).confusion[2].tolist() == [0, 1, 0]


def test_calibration():
    """Two bins are filled: .8 to .9 with one of two right, .6 to .7 with two right."""
    found = [(1, CAT, A, 0.82), (1, CAT, EMPTY, 0.88), (2, CAT, ROUGH_A, 0.62), (2, CAT, FAR, 0.66)]
    calibration = analysed(found).calibration
    filled = [(entry['count'], entry['avg_accuracy'], entry['avg_confidence']) for entry in calibration['bins']
              if entry['count']]
    assert filled == [(2, 1.0, pytest.approx(0.64)), (2, 0.5, pytest.approx(0.85))]
    assert calibration['ece'] == pytest.approx((0.36 + 0.35) / 2)
    assert calibration['mce'] == pytest.approx(0.36)


def test_images():
    first, second = analysed([(1, DOG, A, 0.9), (1, DOG, FAR, 0.8), (2, CAT, A, 0.5)]).images
    assert (first.tp, first.fp, first.fn, first.f1) == (1, 1, 1, 0.5)
    assert [(box.name, box.good) for box in first.objects] == [('cat', False), ('dog', True)]
    assert [(box.name, box.good, box.score) for box in first.detections] == [('dog', True, 0.8), ('dog', False, 0.9)]
    assert (second.file_name, second.tp, second.fp, second.fn, second.f1) == ('2.jpg', 1, 0, 1, pytest.approx(2 / 3))


def test_nothing_detected_and_nothing_there():
    empty = analysed([])
    assert empty.metrics['AP'] == 0 and empty.errors['counts']['Miss'] == 4
    assert empty.confusion.tolist() == [[0, 0, 3], [0, 0, 1], [0, 0, 0]]
    nothing = analysed([], [])
    assert set(nothing.metrics.values()) == {-1} and {cls.ap for cls in nothing.classes} == {-1}
    assert [image.f1 for image in nothing.images] == [1, 1]


@pytest.mark.parametrize('change, says', [
    (dict(image_id=3), r'detections\[0\]: the annotations have no image 3'),
    (dict(category_id=1), r'detections\[0\]: category 1 is none of the classes'),
    (dict(score=None), r'detections\[0\] has no score'),
])
def test_detections_of_other_data_are_refused(change: dict, says: str):
    detection = dict(dict(image_id=1, category_id=CAT, bbox=A, score=1.0), **change)
    detection = {key: value for key, value in detection.items() if value is not None}
    with pytest.raises(UserError, match=says):
        analyse(annotations(OBJECTS), [detection], [CAT, DOG], 0.3)
    with pytest.raises(UserError, match='category 9: the annotations have no such one'):
        analyse(annotations(OBJECTS), [], [CAT, 9], 0.3)


def test_classes_that_are_left_out_do_not_count():
    one = analyse(annotations(OBJECTS), [dict(image_id=1, category_id=DOG, bbox=FAR, score=0.9)], [DOG], 0.3)
    assert [cls.name for cls in one.classes] == ['dog'] and one.metrics['AP'] == pytest.approx(1)
    assert one.confusion.tolist() == [[1, 0], [0, 0]]
    assert not any(one.errors['counts'].values())


def test_top_confusions():
    counts = np.array([[5, 2, 0, 3], [0, 0, 1, 4], [2, 0, 2, 0], [7, 0, 6, 0]])  # of a, b, c and background
    rows = top_confusions(counts, 'abc')
    assert rows == [('c', 'a', 2, 0.5), ('a', 'b', 2, 0.2), ('b', 'c', 1, 0.2)]
    assert top_confusions(counts, 'abc', 2) == rows[:2]


def test_classes_of_a_large_heat_map():
    counts = np.array([[9, 1, 1, 0], [0, 9, 0, 0], [0, 4, 9, 9], [9, 9, 9, 0]])
    assert most_confused(counts, 3, 2) == [1, 2] and most_confused(counts, 3, 9) == [0, 1, 2]
    assert submatrix(counts, 3, [0, 2]).tolist() == [[9, 1, 0], [0, 9, 9], [9, 9, 0]]
