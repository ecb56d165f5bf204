"""The twelve metrics on real annotations with crowds."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
from mmdet.datasets.api_wrappers import COCO
from pycocotools.coco import COCO as PlainCOCO
from pycocotools.cocoeval import COCOeval

from mmext.detection.metric import NAMES, evaluate


@pytest.fixture(scope='module')
def path(coco_tiny: Path) -> str:
    return str(coco_tiny / 'annotations' / 'instances_val2017.json')


def noisy_detections(truth: COCO) -> list[dict]:
    """The ground truth, shifted, partly mislabelled, with random scores and some false ones."""
    rng = np.random.default_rng(0)
    categories = sorted(truth.cats)
    found = []
    for annotation in truth.anns.values():
        for _ in range(rng.integers(0, 3)):
            x, y, w, h = annotation['bbox']
            box = [x + w * rng.normal(0, 0.08), y + h * rng.normal(0, 0.08), w * rng.uniform(0.8, 1.2), h]
            category = annotation['category_id'] if rng.random() < 0.8 else int(rng.choice(categories))
            found.append(dict(image_id=annotation['image_id'], category_id=category, bbox=box,
                              score=float(rng.random())))
    return found


def test_equal_to_pycocotools_on_crowds(path: str):
    with contextlib.redirect_stdout(io.StringIO()):
        truth, plain = COCO(path), PlainCOCO(path)
        assert any(annotation['iscrowd'] for annotation in plain.anns.values())
        found = noisy_detections(truth)
        reference = COCOeval(plain, plain.loadRes(found), 'bbox')
        reference.evaluate()
        reference.accumulate()
        reference.summarize()
    metrics = evaluate(truth, found, truth.get_cat_ids(), per_class=True)
    assert [metrics[name] for name in NAMES] == list(reference.stats)
    assert 0.1 < metrics['AP50'] < 0.9
    per_class = [value for name, value in metrics.items() if name.endswith('/AP') and value >= 0]
    assert np.mean(per_class) == pytest.approx(metrics['AP'])


def test_no_detections_at_all(path: str):
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(path)
    metrics = evaluate(truth, [], truth.get_cat_ids())
    assert set(metrics.values()) == {0.0}
