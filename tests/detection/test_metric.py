"""The metric as a training and a test use it: what it keeps, checks and refuses."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import distributed

from mmext.detection import metric as subject
from mmext.detection.evaluation import NAMES
from mmext.detection.metric import CocoMetric
from mmext.errors import UserError
from tests.detection.made_up import annotations, detections, pycocotools_evaluation, written

CONTENT = annotations(1)
CLASSES = [category['name'] for category in CONTENT['categories']]
LABELS = {category['id']: i for i, category in enumerate(CONTENT['categories'])}
FOUND = detections(CONTENT, 2, ties=True, crowded=150)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return written(CONTENT, tmp_path / 'instances.json')


def made(path: str, **kwargs) -> CocoMetric:
    metric = CocoMetric(path, **kwargs)
    metric.dataset_meta = dict(classes=CLASSES)
    return metric


def samples(found: list[dict] = FOUND) -> list[dict]:
    """The detections as a detector's data samples, an image each, those without any included."""
    result = []
    for image in CONTENT['images']:
        own = [entry for entry in found if entry['image_id'] == image['id']]
        boxes = torch.tensor([entry['bbox'] for entry in own], dtype=torch.float64).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        result.append(dict(img_id=image['id'], pred_instances=dict(
            bboxes=boxes, scores=torch.tensor([entry['score'] for entry in own], dtype=torch.float64),
            labels=torch.tensor([LABELS[entry['category_id']] for entry in own], dtype=torch.int64))))
    return result


def measure(metric: CocoMetric, data: list[dict]) -> dict[str, float]:
    for sample in data:
        metric.process({}, [sample])
    return metric.evaluate(len(data))


def test_a_test_and_its_file_give_the_same(path: str, tmp_path: Path):
    kept = tmp_path / 'run' / 'detections.json'
    metrics = measure(made(path, detections_file=str(kept), per_class=True), samples())
    assert made(path, per_class=True).evaluate_file(str(kept)) == metrics
    saved = json.loads(kept.read_text())
    assert [metrics[f'coco/{name}'] for name in NAMES] == pytest.approx(
        list(pycocotools_evaluation(CONTENT, saved).stats), abs=1e-12)
    assert len(saved) == len(FOUND) and len(metrics) == 12 + 5 * len(CLASSES)
    assert made(path, reference=True).evaluate_file(str(kept))['coco/AP'] == pycocotools_evaluation(CONTENT,
                                                                                                  saved).stats[0]


def test_no_detections_are_a_whole_file(path: str, tmp_path: Path):
    metrics = measure(made(path, outfile_prefix=str(tmp_path / 'none')), samples([]))
    assert {metrics[f'coco/{name}'] for name in NAMES} == {0.0}
    assert json.loads((tmp_path / 'none.bbox.json').read_text()) == []


def test_classes_are_checked_before_the_first_image(path: str):
    with pytest.raises(UserError, match='are not the 1 classes'):
        CocoMetric(path).dataset_meta = dict(classes=['dog'])


def test_labels_are_in_the_order_of_the_classes(path: str):
    """The same detections, whose labels are of the classes backwards, have the same metrics."""
    backwards = CocoMetric(path, per_class=True)
    backwards.dataset_meta = dict(classes=CLASSES[::-1])
    turned = samples()
    for sample in turned:
        sample['pred_instances']['labels'] = len(CLASSES) - 1 - sample['pred_instances']['labels']
    assert measure(backwards, turned) == measure(made(path, per_class=True), samples())


@pytest.mark.parametrize('kwargs, says', [
    (dict(metric=['bbox', 'segm']), "'metric'"), (dict(metric='proposal'), "'metric'"),
    (dict(iou_thrs=[0.5]), "'iou_thrs'"), (dict(format_only=True, outfile_prefix='x'), "'format_only'"),
])
def test_other_metrics_are_refused(path: str, kwargs: dict, says: str):
    with pytest.raises(UserError, match=says):
        CocoMetric(path, **kwargs)
    CocoMetric(path, metric=['bbox'], format_only=False, backend_args=None)


def test_what_is_no_box_is_told(path: str, monkeypatch, tmp_path: Path):
    lines = []
    monkeypatch.setattr(subject, 'print_log', lambda text, *args: lines.append(text))
    data = samples()
    expected = measure(made(path), data)
    wrong = dict(bboxes=torch.tensor([[0., 0, float('nan'), 9], [5, 5, 1, 9]]), scores=torch.ones(2),
                 labels=torch.zeros(2, dtype=torch.int64))
    extra = dict(img_id=CONTENT['images'][0]['id'], pred_instances=wrong)
    assert measure(made(path, detections_file=str(tmp_path / 'd.json')), [*data, extra]) == expected
    assert lines[0].startswith(f'2 of {len(FOUND) + 2} detections are ignored')
    made(path).evaluate_file(str(tmp_path / 'd.json'))


def test_images_that_are_not_tested_are_told(path: str, monkeypatch):
    lines = []
    monkeypatch.setattr(subject, 'print_log', lambda text, *rest: lines.append(text))
    whole = measure(made(path), samples())
    assert not lines
    assert measure(made(path), samples()[2:])['coco/AR100'] < whole['coco/AR100']
    assert len(lines) == 1 and lines[0].startswith(f'2 of the {len(CONTENT["images"])} images of {path} are not')


def test_metrics_survive_where_detections_are_not_saved(path: str, monkeypatch, tmp_path: Path):
    lines = []
    monkeypatch.setattr(subject, 'print_log', lambda text, *args: lines.append(text))
    (tmp_path / 'file').touch()
    metrics = measure(made(path, detections_file=str(tmp_path / 'file' / 'd.json')), samples())
    assert metrics['coco/AP'] > 0 and lines == [
        f'{tmp_path}/file/d.json: the detections are not saved (File exists)']


def one_of_two(rank: int, folder: Path, path: str) -> None:
    """A process of two, with every second image; the last of an odd number is the first again, as samplers do it."""
    torch.set_num_threads(1)
    distributed.init_process_group('gloo', init_method=f'file://{folder}/meeting', rank=rank, world_size=2)
    data = samples()[:11]
    metric = made(path, detections_file=str(folder / f'of_{rank}.json'), per_class=True)
    for sample in [*data, data[0]][rank::2]:
        metric.process({}, [sample])
    (folder / f'metrics_{rank}.json').write_text(json.dumps(metric.evaluate(len(data))))
    distributed.destroy_process_group()


def test_two_processes_are_as_one(path: str, tmp_path: Path):
    processes = [multiprocessing.get_context('fork').Process(target=one_of_two, args=(rank, tmp_path, path))
                 for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    alone = measure(made(path, detections_file=str(tmp_path / 'alone.json'), per_class=True), samples()[:11])
    for rank in range(2):
        assert json.loads((tmp_path / f'metrics_{rank}.json').read_text()) == alone
    assert not (tmp_path / 'of_1.json').exists(), 'the main process alone writes'
    assert (tmp_path / 'of_0.json').read_bytes() == (tmp_path / 'alone.json').read_bytes()
    assert np.mean([alone[f'coco/{name}/AP'] for name in CLASSES if alone[f'coco/{name}/objects']]) == pytest.approx(
        alone['coco/AP'])
