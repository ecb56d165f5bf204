"""The twelve COCO metrics, unrounded, and those of each class: pycocotools' numbers, several times as fast.

faster-coco-eval evaluates where it is installed, pycocotools otherwise and on demand. Their recalls and scores are
equal bit for bit, ties and sizes on a border included. A precision differs where one detection has counted so far, and
is right: pycocotools divides it by 1 + 2^-52 and gets 1 - 2^-52, faster-coco-eval gets 1. Metrics, which are means,
differ by less than 1e-15.
"""

from __future__ import annotations

import contextlib
import functools
import io
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import print_log

from mmext import compat
from mmext.detection.annotations import check_classes, read_annotations

NAMES = ('AP', 'AP50', 'AP75', 'APs', 'APm', 'APl', 'AR1', 'AR10', 'AR100', 'ARs', 'ARm', 'ARl')
IOU_50, IOU_75 = 0, 5  # of the ten from .5 to .95


@dataclass(frozen=True)
class GroundTruth:
    """What detections are compared with.

    Attributes:
        path: the annotation file.
        images: a dict an image, with ``id`` and what else the file says of it.
        annotations: a dict an object: ``id``, ``image_id``, ``category_id``, ``bbox`` [x, y, width, height] in pixels,
            ``area``, ``iscrowd`` 0 or 1. Ids count from 1: both evaluators take an object with the id 0 for not found.
        categories: id -> name, in the file's order.
        category_ids: those that are evaluated, in the order of the labels.
    """

    path: str
    images: list[dict]
    annotations: list[dict]
    categories: dict[int, str]
    category_ids: list[int]

    def of_classes(self, classes: Sequence[str]) -> GroundTruth:
        """The same with these classes alone.

        Raises:
            UserError: the file lacks one, or has them in another order, so that labels stand for others.
        """
        chosen = {category: name for category, name in self.categories.items() if name in classes}
        if tuple(chosen.values()) != tuple(classes):
            names = [dict(name=name) for name in self.categories.values()]
            check_classes(self.path, dict(categories=names), classes)
        return GroundTruth(self.path, self.images, self.annotations, self.categories, list(chosen))


@dataclass(frozen=True)
class Evaluation:
    """What an evaluator found; -1 where there is nothing to measure.

    Attributes:
        stats: (12,), in the order of ``NAMES``.
        precision: (10 IoUs from .5 to .95, 101 recalls from 0 to 1, classes, sizes all/s/m/l, at most 1/10/100
            detections of a class in an image).
        recall: (10, classes, 4, 3), the highest that is reached.
        scores: as ``precision``, the score at which a recall is reached.
        category_ids: of the axis of classes.
    """

    stats: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    scores: np.ndarray
    category_ids: list[int]


def read_ground_truth(path: str | Path) -> GroundTruth:
    """Reads a COCO annotation file with all of its categories.

    Raises:
        UserError: it is missing or malformed; the message names the entry.
    """
    content = read_annotations(path)
    categories = {category['id']: category['name'] for category in content['categories']}
    annotations = [dict(id=i, image_id=annotation['image_id'], category_id=annotation['category_id'],
                        bbox=annotation['bbox'], area=annotation['area'], iscrowd=int(bool(annotation.get('iscrowd'))))
                   for i, annotation in enumerate(content['annotations'], 1)]
    return GroundTruth(str(path), content['images'], annotations, categories, list(categories))


def evaluate(truth: GroundTruth, detections: list[dict], *, reference: bool = False,
             per_class: bool = False) -> dict[str, float]:
    """Compares detections with the ground truth, over all of its images.

    Args:
        truth: as ``read_ground_truth`` makes it.
        detections: in COCO's result format, in any order; of equal scores the first counts as the highest.
        reference: use pycocotools even where faster-coco-eval is installed.
        per_class: add ``<class>/AP``, ``/AP50``, ``/AP75``, ``/images`` and ``/objects`` for each class.

    Returns:
        ``NAMES`` and what ``per_class`` adds, as fractions of 1; -1 where there is nothing to measure. At most 100
        detections of a class in an image count.
    """
    evaluation = accumulate(truth, detections, reference)
    metrics: dict[str, float] = dict(zip(NAMES, map(float, evaluation.stats)))
    if per_class:
        metrics.update(class_metrics(truth, evaluation))
    return metrics


def accumulate(truth: GroundTruth, detections: list[dict], reference: bool = False) -> Evaluation:
    """``evaluate`` with all that the evaluator found: the curves of each class."""
    api, evaluator = evaluators(reference)
    images = [dict(id=image['id']) for image in truth.images]
    categories = [dict(id=category, name=name) for category, name in truth.categories.items()]

    def index(annotations: list[dict]) -> Any:
        coco = api()
        coco.dataset = dict(images=images, annotations=annotations, categories=categories)
        coco.createIndex()
        return coco

    with contextlib.redirect_stdout(io.StringIO()):
        found = [dict(detection, id=i, area=detection['bbox'][2] * detection['bbox'][3], iscrowd=0)
                 for i, detection in enumerate(detections, 1)]
        evaluation = evaluator(index([dict(annotation) for annotation in truth.annotations]), index(found), 'bbox')
        evaluation.params.catIds = list(truth.category_ids)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    found = evaluation.eval
    return Evaluation(np.array(evaluation.stats), found['precision'], found['recall'], found['scores'],
                      [int(category) for category in evaluation.params.catIds])


def evaluators(reference: bool) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """COCO and COCOeval of the library that is to evaluate."""
    if not reference and compat.installed('faster_coco_eval'):
        from faster_coco_eval import COCO, COCOeval_faster
        return COCO, COCOeval_faster
    if not reference:
        warn_slow_evaluation()
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval
    return COCO, COCOeval


@functools.cache
def warn_slow_evaluation() -> None:
    print_log('faster-coco-eval is not installed: pycocotools evaluates, which takes more than six times as '
              'long; pip install faster-coco-eval', 'current', logging.WARNING)


def class_metrics(truth: GroundTruth, evaluation: Evaluation) -> dict[str, float]:
    """AP, AP50 and AP75 of each class, and how many images and objects (crowds aside) it has."""
    metrics: dict[str, float] = {}
    images: dict[int, list[int]] = {category: [] for category in truth.categories}
    for annotation in truth.annotations:
        if not annotation['iscrowd']:
            images[annotation['category_id']].append(annotation['image_id'])
    for category in truth.category_ids:
        name = truth.categories[category]
        curves = evaluation.precision[:, :, evaluation.category_ids.index(category), 0, -1]  # (IoU, recall)
        for metric, rows in (('AP', slice(None)), ('AP50', IOU_50), ('AP75', IOU_75)):
            values = curves[rows][curves[rows] > -1]
            metrics[f'{name}/{metric}'] = float(values.mean()) if len(values) else -1.0
        metrics[f'{name}/images'] = len(set(images[category]))
        metrics[f'{name}/objects'] = len(images[category])
    return metrics
