"""Annotation files of COCO's form, right ones and changed ones; what is accepted is loaded and evaluated.

Oracles: pycocotools' metrics, and its count of the boxes of each image.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

from hypothesis import strategies as st

import mmext.detection  # noqa: F401
from mmext.detection.annotations import category_names
from mmext.detection.dataset import CocoDataset
from mmext.detection.evaluation import NAMES, evaluate, read_ground_truth
from tests.detection.made_up import annotations, detections, pycocotools_evaluation
from tests.soak.cases.junk import CHANGES, changed

IMAGES = 4
ALLOWED = ()
draw = st.tuples(st.integers(0, 50), CHANGES)


def check(example: tuple, folder: Path) -> None:
    seed, changes = example
    content = changed(annotations(seed, images=IMAGES, classes=3), changes)
    path = folder / 'instances.json'
    path.write_text(json.dumps(content))
    for i in range(IMAGES):
        (folder / f'{i}.jpg').touch()
    truth = read_ground_truth(path)
    content = json.loads(path.read_text())
    found = detections(content, seed, random=10) if content['images'] and content['categories'] else []
    if found:
        metrics, expected = evaluate(truth, found), pycocotools_evaluation(with_ids(content), found).stats
        assert all(math.isclose(metrics[name], value, abs_tol=1e-9) for name, value in zip(NAMES, expected)), \
            f'{metrics}, and pycocotools has {list(expected)}'
    names = category_names(content)
    dataset = CocoDataset(ann_file=str(path), data_prefix=dict(img=str(folder)), metainfo=dict(classes=names),
                          pipeline=[], filter_cfg=None)
    shown = {image['id'] for image in content['images']}
    assert {info['img_id'] for info in dataset} == shown or dataset.missing, 'images are lost'
    kept = sum(len(info['instances']) for info in dataset)
    assert kept + sum(dataset.tally.left_out.values()) == dataset.tally.boxes == len(content['annotations']) or \
        dataset.missing, f'{kept} boxes of {len(content["annotations"])}, and {dataset.tally.left_out}'
    for info in dataset:
        for instance in info['instances']:
            x1, y1, x2, y2 = instance['bbox']
            assert x2 > x1 and y2 > y1 and all(map(math.isfinite, instance['bbox'])), instance


def with_ids(content: dict) -> dict:
    """As our reader does: pycocotools takes an id 0 for none, and needs each field."""
    objects = [dict(entry, id=i, iscrowd=int(bool(entry.get('iscrowd')))) for i, entry in enumerate(
        content['annotations'], 1)]
    return dict(content, annotations=[{key: value for key, value in entry.items() if key != 'ignore'}
                                      for entry in objects])
