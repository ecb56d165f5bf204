"""Detections in COCO's result format (https://cocodataset.org/#format-results): conversion, writing, reading."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from mmext import files
from mmext.detection.evaluation import GroundTruth
from mmext.errors import UserError, shorten

NEEDED = ('image_id', 'category_id', 'bbox', 'score')


def from_arrays(predictions: Iterable[tuple[int, np.ndarray, np.ndarray, np.ndarray]],
                category_ids: Sequence[int]) -> tuple[list[dict], int]:
    """Converts predictions to one dict per detection, in the same order.

    Args:
        predictions: for each image, its id, boxes (n, 4) as x1, y1, x2, y2 in pixels, scores (n,) and labels (n,).
        category_ids: the category id of each label.

    Returns:
        The detections, and the number of invalid ones that were dropped: a corner or score is not finite, or x2 < x1,
        or y2 < y1.
    """
    detections, left_out = [], 0
    for image_id, boxes, scores, labels in predictions:
        boxes, scores = np.asarray(boxes, np.float64).reshape(-1, 4), np.asarray(scores, np.float64)
        boxes = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1)
        good = np.isfinite(boxes).all(1) & np.isfinite(scores) & (boxes[:, 2:] >= 0).all(1)
        left_out += int((~good).sum())
        for box, score, label in zip(boxes[good].tolist(), scores[good].tolist(), np.asarray(labels)[good].tolist()):
            detections.append(dict(image_id=image_id, category_id=category_ids[label], bbox=box, score=score))
    return detections, left_out


def write_detections(path: str | Path, detections: list[dict]) -> None:
    """Writes detections as JSON, atomically; numbers are preserved exactly."""
    text = json.dumps(detections, allow_nan=False, separators=(',', ':'))
    files.write_text(path, text)


def read_detections(path: str | Path, truth: GroundTruth) -> list[dict]:
    """Reads and checks a file of detections.

    Args:
        path: a JSON list of dicts with ``image_id``, ``category_id``, ``bbox`` [x, y, width, height] in pixels and
            ``score``; other keys are ignored.
        truth: the ground truth, with the valid images and categories.

    Raises:
        UserError: the file is missing, not such a list, or has a malformed entry; the message names its index.
    """
    content = files.read_json(path, 'file of detections')
    if not isinstance(content, list):
        raise UserError(f"{path}: detections in COCO's result format are a list, this is a {type(content).__name__}")
    images = {image['id'] for image in truth.images}
    evaluated = set(truth.category_ids)
    for i, detection in enumerate(content):
        wrong = fault(detection, images, evaluated, truth)
        if wrong:
            raise UserError(f'{path}: entry {i}: {wrong}')
    return [{key: detection[key] for key in NEEDED} for detection in content]


def fault(detection: object, images: set[int], evaluated: set[int], truth: GroundTruth) -> str | None:
    """What is wrong with an entry; None if it is valid."""
    if not isinstance(detection, dict):
        return f'a {type(detection).__name__}, not an object'
    absent = [key for key in NEEDED if key not in detection]
    if absent:
        return f'no {shorten(absent)}'
    image, category, box, score = (detection[key] for key in NEEDED)
    if type(image) is not int or image not in images:
        return f'image_id {brief(image)} is not an image of {truth.path}'
    if type(category) is not int or category not in truth.categories:
        return f'category_id {brief(category)} is not a category of {truth.path}'
    if category not in evaluated:
        return f'category_id {category} ({truth.categories[category]}) is not one of the classes of the config'
    if not isinstance(box, list) or len(box) != 4 or not all(map(finite, box)):
        return f'bbox {brief(box)} is not [x, y, width, height] in finite numbers'
    if box[2] < 0 or box[3] < 0:
        return f'bbox {brief(box)} has a negative size; need [x, y, width, height]'
    if not finite(score):
        return f'score {brief(score)} is not a finite number'
    return None


def finite(value: object) -> bool:
    """Whether a value is a finite number."""
    largest = sys.float_info.max
    return isinstance(value, (int, float)) and type(value) in (int, float) and -largest <= value <= largest


def brief(value: object) -> str:
    """A value as JSON, truncated to 80 characters."""
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + '...'
