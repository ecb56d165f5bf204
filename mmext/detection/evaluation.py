"""The twelve COCO metrics, unrounded, and metrics per class: the numbers of pycocotools, several times as fast.

faster-coco-eval is used if it is installed; pycocotools otherwise or on request. Their recalls and scores are
bit-identical, also for ties and for sizes on a boundary. The precision after a single, correct detection differs:
pycocotools divides by 1 + 2^-52 and gets 1 - 2^-52, while faster-coco-eval gets 1. The metrics, which are means, differ
by less than 1e-15.
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
IOU_50, IOU_75 = 0, 5  # indices into the ten IoU thresholds from .5 to .95


@dataclass(frozen=True)
class GroundTruth:
    """The ground truth of an evaluation.

    Attributes:
        path: the annotation file.
        images: one dict per image, with ``id`` and the other fields of the file.
        annotations: one dict per object: ``id``, ``image_id``, ``category_id``, ``bbox`` [x, y, width, height] in
            pixels, ``area``, ``iscrowd`` 0 or 1. Ids start at 1, because both evaluators treat id 0 as unmatched.
        categories: id -> name, in the order of the file.
        category_ids: the evaluated categories, in the order of the labels.
    """

    path: str
    images: list[dict]
    annotations: list[dict]
    categories: dict[int, str]
    category_ids: list[int]

    def of_classes(self, classes: Sequence[str]) -> GroundTruth:
        """The same ground truth, evaluated for these classes only.

        Raises:
            UserError: the file lacks a class, or has them in another order, so that labels would be wrong.
        """
        chosen = {category: name for category, name in self.categories.items() if name in classes}
        if tuple(chosen.values()) != tuple(classes):
            names = [dict(name=name) for name in self.categories.values()]
            check_classes(self.path, dict(categories=names), classes)
        return GroundTruth(self.path, self.images, self.annotations, self.categories, list(chosen))


@dataclass(frozen=True)
class Evaluation:
    """The arrays that an evaluator returns; -1 stands for undefined values.

    Attributes:
        stats: (12,), in the order of ``NAMES``.
        precision: (10, 101, classes, 4, 3): IoU thresholds from .5 to .95, recalls from 0 to 1, classes, object sizes
            all/s/m/l, at most 1/10/100 detections of a class per image.
        recall: (10, classes, 4, 3), the highest recall that is reached.
        scores: shaped as ``precision``, the score at which a recall is reached.
        category_ids: the categories of the class axis.
    """

    stats: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    scores: np.ndarray
    category_ids: list[int]


def read_ground_truth(path: str | Path) -> GroundTruth:
    """Reads a COCO annotation file, for an evaluation of all its categories.

    Raises:
        UserError: the file is missing or malformed; the message names the entry.
    """
    content = read_annotations(path)
    categories = {category['id']: category['name'] for category in content['categories']}
    annotations = [dict(id=i, image_id=annotation['image_id'], category_id=annotation['category_id'],
                        bbox=annotation['bbox'], area=annotation['area'], iscrowd=int(bool(annotation.get('iscrowd'))))
                   for i, annotation in enumerate(content['annotations'], 1)]
    return GroundTruth(str(path), content['images'], annotations, categories, list(categories))


def evaluate(truth: GroundTruth, detections: list[dict], *, reference: bool = False,
             per_class: bool = False) -> dict[str, float]:
    """Compares detections with the ground truth, over all its images.

    Args:
        truth: the ground truth from ``read_ground_truth``.
        detections: dicts in COCO's result format, in any order; equal scores are ranked in the given order.
        reference: use pycocotools even if faster-coco-eval is installed.
        per_class: add ``<class>/AP``, ``/AP50``, ``/AP75``, ``/images`` and ``/objects`` for each class.

    Returns:
        Name -> value for ``NAMES`` and those of ``per_class``, as fractions of 1; -1 for undefined metrics. At most
        100 detections of a class per image are counted.
    """
    evaluation = accumulate(truth, detections, reference)
    metrics: dict[str, float] = dict(zip(NAMES, map(float, evaluation.stats)))
    if per_class:
        metrics.update(class_metrics(truth, evaluation))
    return metrics


def accumulate(truth: GroundTruth, detections: list[dict], reference: bool = False) -> Evaluation:
    """Like ``evaluate``, but returns the complete result of the evaluator, with the curves of each class."""
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
    """The classes COCO and COCOeval of the evaluating library."""
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
    """Warns, once per process, that the slower pycocotools evaluates."""
    print_log('faster-coco-eval is not installed: pycocotools evaluates, which takes more than six times as '
              'long; pip install faster-coco-eval', 'current', logging.WARNING)


def class_metrics(truth: GroundTruth, evaluation: Evaluation) -> dict[str, float]:
    """AP, AP50 and AP75 of each class, and its number of images and objects without crowds."""
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
