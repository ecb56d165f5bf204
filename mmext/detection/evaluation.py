"""The twelve COCO metrics, unrounded, and those of each class: pycocotools' numbers, many times as fast.

hotcoco evaluates where it is installed, pycocotools otherwise and on demand. Their precisions, recalls, scores and
metrics are equal bit for bit, ties and areas on a border included.
"""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from mmengine.logging import print_log

from mmext import compat
from mmext.detection.annotations import check_classes, read_annotations

if TYPE_CHECKING:
    from hotcoco import COCOeval

NAMES = ('AP', 'AP50', 'AP75', 'APs', 'APm', 'APl', 'AR1', 'AR10', 'AR100', 'ARs', 'ARm', 'ARl')
IOU_50, IOU_75 = 0, 5  # indices into the ten IoU thresholds from .5 to .95


@dataclass(frozen=True)
class GroundTruth:
    """The ground truth of an evaluation.

    Attributes:
        path: the annotation file.
        images: a dict an image, with ``id`` and what else the file says of it.
        annotations: a dict an object: ``id``, ``image_id``, ``category_id``, ``bbox`` [x, y, width, height] in pixels,
            ``area``, ``iscrowd`` 0 or 1. Ids count from 1: pycocotools takes an object with the id 0 for not found.
        categories: id -> name, in the file's order.
        category_ids: those that are evaluated, in the order of the labels.
    """

    path: str
    images: list[dict]
    annotations: list[dict]
    categories: dict[int, str]
    category_ids: list[int]

    def of_classes(self, classes: Sequence[str]) -> GroundTruth:
        """The same ground truth, evaluated for these classes only.

        Raises:
            UserError: the file lacks a class.
        """
        ids = {name: category for category, name in self.categories.items()}
        if not ids.keys() >= set(classes):
            check_classes(self.path, dict(categories=[dict(name=name) for name in ids]), classes)
        return replace(self, category_ids=[ids[name] for name in classes])

    @property
    def evaluated(self) -> list[dict]:
        """The annotations of the categories that are evaluated."""
        wanted = set(self.category_ids)
        return [annotation for annotation in self.annotations if annotation['category_id'] in wanted]


@dataclass(frozen=True)
class Evaluation:
    """The arrays that an evaluator returns; -1 stands for undefined values.

    Attributes:
        stats: (12,), in the order of ``NAMES``.
        precision: (10 IoUs from .5 to .95, 101 recalls from 0 to 1, classes, sizes all/s/m/l, at most 1/10/100
            detections of a class in an image).
        recall: (10, classes, 4, 3), the highest that is reached.
        scores: as ``precision``, the score at which a recall is reached.
        category_ids: of the axis of classes, in ascending order.
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
    return ground_truth_of(read_annotations(path), path)


def ground_truth_of(content: dict, path: str | Path) -> GroundTruth:
    """The ground truth of annotations that ``read_annotations`` has read from a path."""
    categories = {category['id']: category['name'] for category in content['categories']}
    annotations = [dict(id=i, image_id=annotation['image_id'], category_id=annotation['category_id'],
                        bbox=annotation['bbox'], area=annotation['area'], iscrowd=int(bool(annotation.get('iscrowd'))))
                   for i, annotation in enumerate(content['annotations'], 1)]
    return GroundTruth(str(path), content['images'], annotations, categories, list(categories))


def evaluate(truth: GroundTruth, detections: list[dict], *, reference: bool = False,
             per_class: bool = False) -> dict[str, float]:
    """Compares detections with the ground truth, over all its images.

    Args:
        truth: as ``read_ground_truth`` makes it.
        detections: in COCO's result format, in any order; of equal scores the first counts as the highest.
        reference: use pycocotools even where hotcoco is installed.
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
    """``evaluate`` with all that the evaluator found: the curves of each class."""
    if not reference and not compat.installed('hotcoco'):
        warn_about_slow_evaluation()
    elif not reference and not HotcocoTruth.threads_lost():
        evaluated = set(truth.category_ids)
        counting = [found for found in detections if found['category_id'] in evaluated]
        return evaluation_of(HotcocoTruth(truth).evaluate(counting), truth)
    return evaluation_of(evaluate_with_pycocotools(truth, detections), truth)


def evaluation_of(evaluator: Any, truth: GroundTruth) -> Evaluation:
    """What hotcoco's or pycocotools' ``COCOeval`` found; both have the categories in ascending order of their ids."""
    precision, recall, scores = (np.asarray(evaluator.eval[key]) for key in ('precision', 'recall', 'scores'))
    return Evaluation(summary(precision, recall), precision, recall, scores, sorted(truth.category_ids))


def summary(precision: np.ndarray, recall: np.ndarray) -> np.ndarray:
    """The metrics of ``NAMES`` from an ``Evaluation``'s arrays.

    The means are numpy's, as in pycocotools: how numpy adds, and with it the last bit, depends on its version and on
    the processor, and hotcoco adds in one way.
    """
    every = slice(None)
    kept = [*(precision[ious][..., 0, -1] for ious in (every, IOU_50, IOU_75)),
            *(precision[..., size, -1] for size in (1, 2, 3)),
            *(recall[..., 0, most] for most in (0, 1, 2)), *(recall[..., size, -1] for size in (1, 2, 3))]
    return np.array(list(map(mean_of_defined, kept)))


def mean_of_defined(values: np.ndarray) -> float:
    """The mean without the values -1, which are undefined; -1 if all of them are."""
    defined = values[values > -1]
    return float(defined.mean()) if len(defined) else -1.0


class HotcocoTruth:
    """The ground truth in hotcoco, which takes no negative ids: images and categories are numbered from 1 there.

    The numbers are in the order of the ids, on which it depends which of equal scores counts first.

    Attributes:
        images, categories: id -> number.
        coco: hotcoco's ``COCO`` of the categories that are evaluated. Annotations keep their ids.

    Raises:
        RuntimeError: the threads of hotcoco are lost, see ``threads_lost``; an evaluation would never end.
    """

    process: int | None = None  # that has started the threads of hotcoco

    def __init__(self, truth: GroundTruth) -> None:
        from hotcoco import COCO

        if self.threads_lost():
            raise RuntimeError('hotcoco has been used before this process was forked, and does not work in it')
        HotcocoTruth.process = os.getpid()
        self.images = numbered(image['id'] for image in truth.images)
        self.categories = numbered(truth.category_ids)
        self.coco = COCO(dict(
            images=[dict(id=number) for number in self.images.values()],
            categories=[dict(id=number, name=str(number)) for number in self.categories.values()],
            annotations=[self.with_numbers(annotation) for annotation in truth.evaluated]))

    @classmethod
    def threads_lost(cls) -> bool:
        """Whether this process was forked from one that had used hotcoco: its threads exist only there."""
        return cls.process not in (None, os.getpid())

    def with_numbers(self, entry: dict) -> dict:
        """An annotation or detection with the numbers of its image and category in place of their ids."""
        return dict(entry, image_id=self.images[entry['image_id']],
                    category_id=self.categories[entry['category_id']])

    def evaluator(self, detections: Sequence[dict]) -> COCOeval:
        """hotcoco's ``COCOeval`` before it has evaluated; the detections' ids are 1, 2 ... in their order.

        Detections of categories that are not evaluated must not be among them.
        """
        from hotcoco import COCOeval

        return COCOeval(self.coco, self.coco.load_res([self.with_numbers(found) for found in detections]), 'bbox')

    def evaluate(self, detections: Sequence[dict]) -> COCOeval:
        """hotcoco's ``COCOeval`` after it has evaluated; see ``evaluator``."""
        evaluator = self.evaluator(detections)
        with contextlib.redirect_stdout(io.StringIO()):
            evaluator.evaluate()
            evaluator.accumulate()
        return evaluator


def numbered(ids: Iterable[int]) -> dict[int, int]:
    """Id -> its number, from 1, in ascending order of the ids."""
    return {one: number for number, one in enumerate(sorted(ids), 1)}


def evaluate_with_pycocotools(truth: GroundTruth, detections: list[dict]) -> Any:
    """pycocotools' ``COCOeval`` after it has evaluated. What it is given stays as it is."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    images = [dict(id=image['id']) for image in truth.images]
    categories = [dict(id=category, name=name) for category, name in truth.categories.items()]

    def index(annotations: list[dict]) -> COCO:
        coco = COCO()
        content = dict(images=images, annotations=annotations, categories=categories)
        coco.dataset = cast(Any, content)  # pycocotools' stubs have a TypedDict of their own for it
        coco.createIndex()
        return coco

    with contextlib.redirect_stdout(io.StringIO()):
        found = [dict(detection, id=i, area=detection['bbox'][2] * detection['bbox'][3], iscrowd=0)
                 for i, detection in enumerate(detections, 1)]
        evaluator = COCOeval(index([dict(annotation) for annotation in truth.annotations]), index(found), 'bbox')
        evaluator.params.catIds = list(truth.category_ids)
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return evaluator


@functools.cache
def warn_about_slow_evaluation() -> None:
    """Warns, once in a process, that hotcoco is not installed."""
    print_log('hotcoco is not installed: pycocotools evaluates, which takes many times as long; pip install '
              'hotcoco', 'current', logging.WARNING)


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
            metrics[f'{name}/{metric}'] = mean_of_defined(curves[rows])
        metrics[f'{name}/images'] = len(set(images[category]))
        metrics[f'{name}/objects'] = len(images[category])
    return metrics
