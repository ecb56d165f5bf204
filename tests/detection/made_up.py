"""Annotations and detections with everything that evaluators could disagree on."""

from __future__ import annotations

import contextlib
import copy
import io
import json
from pathlib import Path

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

BORDERS = (1024.0, 9216.0, 1023.999, 1024.001, 9216.5, 0.0)  # of small, medium and large
SIDES = (4, 31, 32, 33, 95, 96, 97, 200)


def annotations(seed: int, images: int = 12, classes: int = 5) -> dict:
    """What a COCO annotation file holds: ids with gaps and in no order, an empty image and class, a fifth crowds."""
    rng = np.random.default_rng(seed)
    entries = [dict(id=int(i) * 3 + 7, file_name=f'{i}.jpg', width=400, height=400) for i in rng.permutation(images)]
    categories = [dict(id=int(i) * 2 + 1, name=f'class {i}') for i in rng.permutation(classes)]
    objects = []
    for entry in entries[1:]:
        for _ in range(rng.integers(1, 8)):
            box = [*rng.integers(0, 200, 2).tolist(), *rng.choice(SIDES, 2).tolist()]
            if rng.random() < 0.5:
                box = rng.uniform(1, 150, 4).tolist()
            area = float(box[2] * box[3] if rng.random() < 0.5 else rng.choice(BORDERS))
            objects.append(dict(id=len(objects) + 1, image_id=entry['id'], bbox=box, area=area,
                                category_id=categories[rng.integers(classes - 1)]['id'],
                                iscrowd=int(rng.random() < 0.2)))
    return dict(images=entries, annotations=objects, categories=categories)


def detections(content: dict, seed: int, *, ties: bool = False, random: int = 60, crowded: int = 0) -> list[dict]:
    """Copies of the objects, shifted and doubled, some under a wrong class, and boxes at random, in no order.

    Args:
        content: what ``annotations`` returns, or a real file's.
        seed: of everything.
        ties: give only four different scores.
        random: boxes at random places.
        crowded: more of them, all of one class in one image.
    """
    rng = np.random.default_rng(seed)
    images = [entry['id'] for entry in content['images']]
    categories = [category['id'] for category in content['categories']]
    found = []

    def add(image: int, category: int, box: list[float]) -> None:
        score = rng.choice([0.1, 0.3, 0.5, 0.9]) if ties else rng.random()
        found.append(dict(image_id=image, category_id=category, bbox=[float(number) for number in box],
                          score=float(score)))

    for entry in content['annotations']:
        x, y, w, h = entry['bbox']
        for _ in range(rng.integers(0, 4)):
            category = entry['category_id'] if rng.random() < 0.8 else int(rng.choice(categories))
            if rng.random() < 0.5:
                box = [x + rng.integers(-2, 3), y, w * rng.choice([0.5, 0.75, 1, 2]), h]  # an IoU on a threshold
            else:
                box = [x + w * rng.normal(0, 0.1), y + h * rng.normal(0, 0.1), w * rng.uniform(0.7, 1.3), h]
            add(entry['image_id'], category, box)
    for _ in range(random):
        add(int(rng.choice(images)), int(rng.choice(categories)), rng.uniform(0, 150, 4).tolist())
    for _ in range(crowded):
        add(images[-1], categories[0], rng.uniform(0, 150, 4).tolist())
    rng.shuffle(found)
    return found


def pycocotools_evaluation(content: dict, found: list[dict]) -> COCOeval:
    """What pycocotools makes of them by itself."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = copy.deepcopy(content)
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(copy.deepcopy(found)), 'bbox')
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def written(content: object, path: Path) -> str:
    path.write_text(json.dumps(content))
    return str(path)
