"""The twelve metrics and those of each class, against pycocotools by itself."""

from __future__ import annotations

import json
import logging
import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from mmext import compat
from mmext.detection import evaluation
from mmext.detection.evaluation import NAMES, accumulate, evaluate, read_ground_truth
from mmext.errors import UserError
from tests.detection.made_up import annotations, detections, pycocotools_evaluation, written

BOTH = pytest.mark.parametrize('reference', [False, True], ids=['hotcoco', 'pycocotools'])
ONE = dict(images=[dict(id=5, file_name='a.jpg', width=99, height=99)], categories=[dict(id=3, name='cat')],
           annotations=[dict(id=1, image_id=5, category_id=3, bbox=[0, 0, 50, 40], area=2000, iscrowd=0)])
HIT = dict(image_id=5, category_id=3, bbox=[0, 0, 50, 40], score=0.5)


@pytest.fixture
def truth_of(tmp_path: Path):
    return lambda content: read_ground_truth(written(content, tmp_path / 'instances.json'))


def of_class(content: dict, found: list[dict], category: int) -> tuple[dict, list[dict]]:
    """One class alone."""
    own = [[entry for entry in entries if entry['category_id'] == category] for entries in (content['annotations'],
                                                                                           found)]
    return dict(content, annotations=own[0], categories=[dict(id=category, name='own')]), own[1]


def check_against_pycocotools(content: dict, found: list[dict], truth: evaluation.GroundTruth) -> dict[str, float]:
    """Overall and per class, both evaluators; returns the metrics."""
    expected = pycocotools_evaluation(content, found)
    ours, reference = (evaluate(truth, found, reference=reference, per_class=True) for reference in (False, True))
    assert [reference[name] for name in NAMES] == list(expected.stats)
    assert ours == reference and list(ours) == list(reference)
    for category in content['categories']:
        name = category['name']
        own_content, own_found = of_class(content, found, category['id'])
        objects = [entry for entry in own_content['annotations'] if not entry['iscrowd']]
        assert ours[f'{name}/objects'] == len(objects)
        assert ours[f'{name}/images'] == len({entry['image_id'] for entry in objects})
        alone = pycocotools_evaluation(own_content, own_found).stats[:3] if own_found else [0.0] * 3
        assert [ours[f'{name}/{metric}'] for metric in ('AP', 'AP50', 'AP75')] == pytest.approx(
            alone if objects else [-1] * 3, abs=1e-12), name
    return ours


@pytest.mark.parametrize('ties', [False, True])
@pytest.mark.parametrize('seed', range(6))
def test_made_up_annotations(truth_of, seed: int, ties: bool):
    content = annotations(seed)
    found = detections(content, seed + 100, ties=ties, crowded=150 if seed % 2 else 0)
    metrics = check_against_pycocotools(content, found, truth_of(content))
    assert any(entry['iscrowd'] for entry in content['annotations'])
    assert 0.05 < metrics['AP50'] < 0.9 and min(metrics[name] for name in NAMES) >= 0
    assert sum(value == 0 for name, value in metrics.items() if name.endswith('/objects')) == 1, 'the empty class'


def test_real_annotations_with_crowds(coco_tiny: Path):
    path = coco_tiny / 'annotations' / 'instances_val2017.json'
    content = json.loads(path.read_text())
    assert any(entry['iscrowd'] for entry in content['annotations'])
    metrics = check_against_pycocotools(content, detections(content, 0, random=2000), read_ground_truth(path))
    assert 0.1 < metrics['AP50'] < 0.9


@pytest.mark.parametrize('seed', range(20))
def test_both_evaluators_agree_bit_for_bit(truth_of, seed: int):
    content = annotations(seed)
    found = detections(content, seed + 1, ties=bool(seed % 2), crowded=150 if seed % 3 else 0)
    fast, slow = (accumulate(truth_of(content), found, reference) for reference in (False, True))
    for name in ('stats', 'precision', 'recall', 'scores'):
        assert np.array_equal(getattr(fast, name), getattr(slow, name)), name
    assert fast.precision.shape == (10, 101, 5, 4, 3) and fast.category_ids == slow.category_ids == [1, 3, 5, 7, 9]


@pytest.mark.parametrize('id', [0, -4, -2 ** 63, 2 ** 63 - 1])
def test_any_id_of_an_image_or_a_category_will_do(truth_of, id: int):
    content = annotations(0)
    found = detections(content, 1, ties=True)
    expected = evaluate(truth_of(content), found, per_class=True)
    for key, entries in (('image_id', content['images']), ('category_id', content['categories'])):
        extreme = min if id < 1 else max  # the order of the ids stays
        old = extreme(entry['id'] for entry in entries)
        next(entry for entry in entries if entry['id'] == old)['id'] = id
        for entry in [*content['annotations'], *found]:
            entry[key] = id if entry[key] == old else entry[key]
    assert evaluate(truth_of(content), found, per_class=True) == expected


def test_a_forked_process_evaluates_too(truth_of):
    """hotcoco's threads are not in it, and it would wait for them forever."""
    truth = truth_of(ONE)
    expected = accumulate(truth, [HIT]).stats.tolist()

    def child() -> None:
        assert accumulate(truth, [HIT]).stats.tolist() == expected
        with pytest.raises(RuntimeError, match='before this process was forked'):
            evaluation.HotcocoTruth(truth)

    process = multiprocessing.get_context('fork').Process(target=child)
    process.start()
    process.join(60)
    assert process.exitcode == 0


@BOTH
def test_a_hundred_detections_of_a_class_in_an_image_count(truth_of, reference: bool):
    misses = [dict(HIT, bbox=[60, 60, 30, 30], score=0.9)] * 100
    assert evaluate(truth_of(ONE), [*misses[1:], HIT], reference=reference)['AR100'] == 1
    assert evaluate(truth_of(ONE), [*misses, HIT], reference=reference)['AR100'] == 0


@BOTH
def test_nothing_to_measure_or_nothing_found(truth_of, reference: bool):
    missed = evaluate(truth_of(ONE), [], reference=reference, per_class=True)
    assert [missed[name] for name in NAMES] == [0, 0, 0, -1, 0, -1, 0, 0, 0, -1, 0, -1]
    assert {name: missed[name] for name in list(missed)[12:]} == {
        'cat/AP': 0, 'cat/AP50': 0, 'cat/AP75': 0, 'cat/images': 1, 'cat/objects': 1}
    for content, found in ((dict(ONE, annotations=[]), [HIT]), (dict(ONE, annotations=[], images=[]), [])):
        empty = evaluate(truth_of(content), found, reference=reference, per_class=True)
        assert all(empty[name] == -1 for name in (*NAMES, 'cat/AP', 'cat/AP50')) and empty['cat/objects'] == 0


@BOTH
@pytest.mark.parametrize('change', [dict(id=0), dict(id=-4), dict(id='a'), dict(id=2 ** 60)], ids=str)
def test_any_id_of_an_object_will_do(truth_of, change: dict, reference: bool):
    content = dict(ONE, annotations=[dict(ONE['annotations'][0], **change)])
    assert evaluate(truth_of(content), [HIT], reference=reference)['AP'] == pytest.approx(1)


@BOTH
def test_objects_are_no_crowds_unless_they_say_so(truth_of, reference: bool):
    unsaid = {key: value for key, value in ONE['annotations'][0].items() if key != 'iscrowd'}
    assert evaluate(truth_of(dict(ONE, annotations=[unsaid])), [HIT], reference=reference)['AP'] == pytest.approx(1)


@BOTH
def test_what_is_evaluated_stays_as_it_is(truth_of, reference: bool):
    content = annotations(0)
    truth, found = truth_of(content), detections(content, 0)
    before = json.dumps([truth.annotations, found])
    first = evaluate(truth, found, reference=reference, per_class=True)
    assert json.dumps([truth.annotations, found]) == before
    assert evaluate(truth, found, reference=reference, per_class=True) == first


def test_pycocotools_where_the_other_is_not_installed(truth_of, monkeypatch):
    lines = []
    monkeypatch.setattr(compat, 'installed', lambda name: name != 'hotcoco')
    monkeypatch.setattr(evaluation, 'print_log', lambda text, *args: lines.append((text, args)))
    evaluation.warn_about_slow_evaluation.cache_clear()
    monkeypatch.setattr(evaluation, 'HotcocoTruth', lambda *args: pytest.fail('hotcoco is used'))
    assert [accumulate(truth_of(ONE), [HIT]).stats[0] for _ in range(2)] == [pytest.approx(1)] * 2
    assert [args for _, args in lines] == [('current', logging.WARNING)]
    assert 'pip install hotcoco' in lines[0][0]


def test_reference_says_nothing(truth_of, monkeypatch):
    monkeypatch.setattr(evaluation, 'print_log', lambda *args: pytest.fail(str(args)))
    monkeypatch.setattr(evaluation, 'HotcocoTruth', lambda *args: pytest.fail('hotcoco is used'))
    assert accumulate(truth_of(ONE), [HIT], True).stats[0] == pytest.approx(1)


@pytest.mark.parametrize('change, says', [
    (dict(annotations=[dict(ONE['annotations'][0], area=None)]), 'annotations[0]: area None is not a number'),
    (dict(images=[dict(ONE['images'][0], id='5')], annotations=[]), "images[0]: its id '5' is not a 64-bit integer"),
    (dict(categories=[dict(id=3, name='cat'), dict(id=4, name='cat')]), 'two categories have the same name'),
    (dict(categories=[dict(id=3, name='cat'), dict(id=3, name='dog')]), 'two categories have the same id'),
])
def test_annotations_that_evaluators_would_stumble_over(truth_of, change: dict, says: str):
    with pytest.raises(UserError) as caught:
        truth_of(dict(ONE, **change))
    assert says in str(caught.value) and 'instances.json: ' in str(caught.value)


def test_some_of_the_classes(truth_of):
    content = annotations(3)
    found = detections(content, 3)
    chosen = content['categories'][:2]
    truth = truth_of(content).of_classes([category['name'] for category in chosen])
    ids = [category['id'] for category in chosen]
    assert truth.category_ids == ids
    expected = pycocotools_evaluation(dict(content, categories=chosen, annotations=[
        entry for entry in content['annotations'] if entry['category_id'] in ids]), [
        entry for entry in found if entry['category_id'] in ids]).stats
    metrics = evaluate(truth, found, per_class=True)
    assert [metrics[name] for name in NAMES] == pytest.approx(list(expected), abs=1e-12)
    assert len(metrics) == 12 + 2 * 5
    backwards = truth_of(content).of_classes([category['name'] for category in chosen][::-1])
    assert backwards.category_ids == ids[::-1]
    assert evaluate(backwards, found, per_class=True) == metrics
    with pytest.raises(UserError, match='--classes auto'):
        truth_of(content).of_classes(['dog'])
