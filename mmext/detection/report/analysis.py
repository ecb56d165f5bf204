"""What a detector does right and wrong: one evaluation by hotcoco, from every side."""

from __future__ import annotations

import contextlib
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mmext.detection.evaluation import NAMES
from mmext.detection.report.progress import bar
from mmext.errors import UserError, shorten

if TYPE_CHECKING:
    from hotcoco import COCOeval

IOUS = tuple(round(0.5 + 0.05 * i, 2) for i in range(10))
BINS = 10
KEYS = ('image_id', 'category_id', 'bbox', 'score')


@dataclass(frozen=True)
class ClassResult:
    """One class: its objects (crowds aside), its detections of any score; AP as fractions of 1, -1 without objects."""

    name: str
    images: int
    objects: int
    detections: int
    ap: float
    ap50: float
    ap75: float


def cut(name: str, limit: int = 18) -> str:
    """A name short enough for a picture."""
    return name if len(name) <= limit else name[:limit - 1] + '…'


@dataclass(frozen=True)
class Box:
    """One box of a picture, [x, y, width, height] in pixels.

    ``good``: an object that was found, or a detection that is right; None for what does not count: a crowd, and what
    lies in one. ``score`` is None for an object.
    """

    box: Sequence[float]
    name: str
    good: bool | None
    score: float | None = None


@dataclass(frozen=True)
class ImageResult:
    """One image at IoU .5, with the detections of at least the report's score, the strongest last."""

    image_id: int
    file_name: str
    tp: int
    fp: int
    fn: int
    f1: float
    objects: list[Box]
    detections: list[Box]
    size: tuple[float, float] | None = None  # height, width


@dataclass(frozen=True)
class Analysis:
    """All numbers of a report.

    Attributes:
        metrics: the twelve, by ``NAMES``.
        precision: (IoU, recall, class), interpolated as COCO does it; -1 for a class without objects.
        recalls: (recall, ), 0 to 1.
        classes: in the order of ``precision``.
        errors: hotcoco's ``tide_errors``: ``ap_base`` at IoU .5, ``delta_ap`` and ``counts`` by type.
        confusion: (classes + 1, classes + 1) counts at IoU .5, rows truth, columns detections, the last of each
            background.
        calibration: hotcoco's ``calibration`` at IoU .5: ``ece``, ``mce``, ``bins``.
        images: of the whole set, in the file's order.
        score: the least score of a detection in ``confusion`` and ``images``; all other numbers are of all scores.
    """

    metrics: dict[str, float]
    precision: np.ndarray
    recalls: np.ndarray
    classes: list[ClassResult]
    errors: dict
    confusion: np.ndarray
    calibration: dict
    images: list[ImageResult]
    score: float


def analyse(content: dict, detections: Sequence[dict], category_ids: Sequence[int], score: float) -> Analysis:
    """Evaluates detections.

    Args:
        content: of a COCO annotation file, as ``read_annotations`` returns it.
        detections: COCO's result format.
        category_ids: the classes that count, in the order of the tables.
        score: see ``Analysis``.

    Raises:
        UserError: a detection is of an image or a category that the annotations do not have.
    """
    check_detections(content, detections, category_ids)
    content = keep_categories(content, category_ids)
    strong = [detection for detection in detections if detection['score'] >= score]
    with bar('evaluation', 'step', total=4) as progress:
        evaluation = evaluate(content, detections)
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation.summarize()
        progress.update()
        errors, calibration = evaluation.tide_errors(), evaluation.calibration(n_bins=BINS)
        progress.update()
        counting, diagnostics = diagnose(content, strong)
        progress.update()
        matrix = confusion(content, counting, category_ids)
    order = [list(evaluation.params.cat_ids).index(category) for category in category_ids]
    precision = np.asarray(evaluation.eval['precision'])[:, :, :, 0, -1][:, :, order]
    return Analysis(
        metrics=dict(zip(NAMES, map(float, evaluation.stats))), precision=precision,
        recalls=np.asarray(evaluation.params.rec_thrs), classes=class_results(content, detections, precision),
        errors=errors, confusion=matrix, calibration=calibration,
        images=image_results(content, strong, diagnostics), score=score)


def check_detections(content: dict, detections: Sequence[dict], category_ids: Sequence[int]) -> None:
    """Detections are of these images and categories."""
    wanted = set(category_ids)
    images = {image['id'] for image in content['images']}
    known = {category['id'] for category in content['categories']}
    for category in category_ids:
        if category not in known:
            raise UserError(f'category {category}: the annotations have no such one; are they of another data set?')
    for i, detection in enumerate(detections):
        absent = [key for key in KEYS if key not in detection]
        if absent:
            raise UserError(f"detections[{i}] has no {shorten(absent)}; they must be in COCO's result format")
        if detection['image_id'] not in images:
            raise UserError(f'detections[{i}]: the annotations have no image {detection["image_id"]}; are they of '
                            'another data set?')
        if detection['category_id'] not in wanted:
            raise UserError(f'detections[{i}]: category {detection["category_id"]} is none of the classes; are they of '
                            'another data set?')


def keep_categories(content: dict, category_ids: Sequence[int]) -> dict:
    """The content with these categories alone, in this order."""
    categories = {category['id']: category for category in content['categories']}
    wanted = set(category_ids)
    return dict(images=content['images'], categories=[categories[category] for category in category_ids],
                annotations=[annotation for annotation in content['annotations']
                             if annotation['category_id'] in wanted])


def evaluate(content: dict, detections: Sequence[dict]) -> COCOeval:
    """The evaluation, accumulated; detections have the ids 1, 2, ... in their order."""
    from hotcoco import COCO, COCOeval

    truth = COCO(content)
    found = truth.load_res([{key: detection[key] for key in KEYS} for detection in detections])
    evaluation = COCOeval(truth, found, 'bbox')
    evaluation.evaluate()
    evaluation.accumulate()
    return evaluation


def diagnose(content: dict, detections: Sequence[dict]) -> tuple[list[dict], dict]:
    """The detections that count, which are those outside crowds of their class; and hotcoco's diagnosis of each."""
    diagnostics = evaluate(content, detections).image_diagnostics()
    return [detection for i, detection in enumerate(detections, 1) if i in diagnostics['dt_status']], diagnostics


def confusion(content: dict, detections: Sequence[dict], category_ids: Sequence[int]) -> np.ndarray:
    """Counts (classes + 1, classes + 1), see ``Analysis``."""
    result = evaluate(content, detections).confusion_matrix()
    order = [list(result['cat_ids']).index(category) for category in category_ids] + [len(category_ids)]
    return np.asarray(result['matrix']).astype(int)[np.ix_(order, order)]


def class_results(content: dict, detections: Sequence[dict], precision: np.ndarray) -> list[ClassResult]:
    found = Counter(detection['category_id'] for detection in detections)
    objects: dict[int, list[int]] = {category['id']: [] for category in content['categories']}
    for annotation in content['annotations']:
        if not annotation.get('iscrowd'):
            objects[annotation['category_id']].append(annotation['image_id'])
    results = []
    for i, category in enumerate(content['categories']):
        images = objects[category['id']]
        ap, ap50, ap75 = (float(np.mean(precision[rows, :, i])) for rows in (slice(None), 0, 5))
        results.append(ClassResult(str(category['name']), len(set(images)), len(images), found[category['id']],
                                   ap, ap50, ap75))
    return results


def image_results(content: dict, detections: Sequence[dict], diagnostics: dict) -> list[ImageResult]:
    names = {category['id']: str(category['name']) for category in content['categories']}
    objects: dict[int, list[Box]] = {image['id']: [] for image in content['images']}
    found: dict[int, list[Box]] = {image['id']: [] for image in content['images']}
    for annotation in content['annotations']:
        status = diagnostics['gt_status'].get(annotation['id'])
        good = None if annotation.get('iscrowd') else status == 'matched'
        objects[annotation['image_id']].append(Box(annotation['bbox'], names[annotation['category_id']], good))
    for i, detection in sorted(enumerate(detections, 1), key=lambda item: item[1]['score']):
        status = diagnostics['dt_status'].get(i)
        found[detection['image_id']].append(Box(detection['bbox'], names[detection['category_id']],
                                                None if status is None else status == 'tp', detection['score']))
    return [image_result(image, objects[image['id']], found[image['id']]) for image in content['images']]


def image_result(image: dict, objects: list[Box], detections: list[Box]) -> ImageResult:
    tp = sum(box.good is True for box in detections)
    fp = sum(box.good is False for box in detections)
    fn = sum(box.good is False for box in objects)
    f1 = 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 1.0
    size = (image['height'], image['width']) if 'height' in image and 'width' in image else None
    return ImageResult(image['id'], image['file_name'], tp, fp, fn, f1, objects, detections, size)
