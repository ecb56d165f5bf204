"""What a detector does right and wrong: all that the report says is derived from one evaluation by hotcoco."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mmext.detection.evaluation import (
    NAMES,
    Evaluation,
    GroundTruth,
    HotcocoTruth,
    class_metrics,
    evaluation_of,
    ground_truth_of,
)
from mmext.errors import UserError, shorten
from mmext.screen import bar

IOUS = tuple(round(0.5 + 0.05 * i, 2) for i in range(10))
BINS = 10
KEYS = ('image_id', 'category_id', 'bbox', 'score')


@dataclass(frozen=True)
class ClassResult:
    """The results of one class: numbers of images, objects (without crowds) and detections (of any score), and AP as
    fractions of 1, -1 if the class has no objects.
    """

    name: str
    images: int
    objects: int
    detections: int
    ap: float
    ap50: float
    ap75: float


@dataclass(frozen=True)
class Box:
    """One box of an image, in pixels.

    Attributes:
        box: [x, y, width, height].
        name: of the class.
        good: whether an object was found, or a detection is correct; None for what does not count, which are crowds and
            detections inside them.
        score: of a detection; None for an object.
    """

    box: Sequence[float]
    name: str
    good: bool | None
    score: float | None = None


@dataclass(frozen=True)
class ImageResult:
    """The results of one image at IoU .50, with the detections of at least the report's score, the strongest last."""

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
        metrics: the twelve COCO metrics, by ``NAMES``.
        precision: (10 IoUs, 101 recalls, classes), interpolated as COCO does; -1 for a class without objects.
        recalls: (101, ), from 0 to 1.
        classes: in the order of ``precision``.
        errors: hotcoco's ``tide_errors``: ``ap_base`` at IoU .5, ``delta_ap`` and ``counts`` by type.
        confusion: (classes + 1, classes + 1) counts at IoU .5, rows truth, columns detections, the last of each
            background.
        calibration: hotcoco's ``calibration`` at IoU .5: ``ece``, ``mce``, ``bins``.
        images: all of them, in the order of the annotation file.
        score: detections with a lower score are left out of ``confusion`` and ``images``, and of nothing else.
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


def analyse(content: dict, detections: Sequence[Mapping], category_ids: Sequence[int], score: float) -> Analysis:
    """Evaluates detections.

    Args:
        content: of a COCO annotation file, as ``read_annotations`` returns it.
        detections: in COCO's result format.
        category_ids: the classes that are evaluated, in the order of the tables.
        score: see ``Analysis``.

    Raises:
        UserError: a detection is of an image or a category that the annotations do not have.
    """
    check_detections(content, detections, category_ids)
    truth = replace(ground_truth_of(content, 'the annotations'), category_ids=list(category_ids))
    numbers = HotcocoTruth(truth)
    with bar('report: evaluation', 'step', total=3) as progress:
        evaluator = numbers.evaluate([{key: detection[key] for key in KEYS} for detection in detections])
        progress.update()
        errors, calibration = evaluator.tide_errors(), evaluator.calibration(n_bins=BINS)
        progress.update()
        diagnostics = evaluator.image_diagnostics()
        counting = [detection for i, detection in enumerate(detections, 1)
                    if detection['score'] >= score and i in diagnostics['dt_status']]  # the others lie in crowds
        matrix = confusion_matrix(numbers, counting, category_ids)
        progress.update()
    evaluation = evaluation_of(evaluator, truth)
    order = [evaluation.category_ids.index(category) for category in category_ids]
    return Analysis(
        metrics=dict(zip(NAMES, map(float, evaluation.stats))), precision=evaluation.precision[:, :, order, 0, -1],
        recalls=np.asarray(evaluator.params.rec_thrs), classes=class_results(truth, detections, evaluation),
        errors=errors, confusion=matrix, calibration=calibration,
        images=image_results(truth, detections, diagnostics, score), score=score)


def check_detections(content: dict, detections: Sequence[Mapping], category_ids: Sequence[int]) -> None:
    """Raises a UserError if a detection is of another image or category, or lacks a key."""
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


def confusion_matrix(numbers: HotcocoTruth, detections: Sequence[Mapping], category_ids: Sequence[int]) -> np.ndarray:
    """Counts (classes + 1, classes + 1), see ``Analysis``. hotcoco needs no evaluation for them."""
    result = numbers.evaluator([{key: detection[key] for key in KEYS} for detection in detections]).confusion_matrix()
    order = [list(result['cat_ids']).index(numbers.categories[category]) for category in category_ids]
    order.append(len(category_ids))
    return np.asarray(result['matrix']).astype(int)[np.ix_(order, order)]


def class_results(truth: GroundTruth, detections: Sequence[Mapping], evaluation: Evaluation) -> list[ClassResult]:
    """The result of each class, in the order of the labels."""
    found = Counter(detection['category_id'] for detection in detections)
    metrics = class_metrics(truth, evaluation)
    return [ClassResult(truth.categories[category], int(metrics[f'{truth.categories[category]}/images']),
                        int(metrics[f'{truth.categories[category]}/objects']), found[category],
                        *(metrics[f'{truth.categories[category]}/{name}'] for name in ('AP', 'AP50', 'AP75')))
            for category in truth.category_ids]


def image_results(truth: GroundTruth, detections: Sequence[Mapping], diagnostics: dict,
                  score: float) -> list[ImageResult]:
    """The result of each image, with the detections of at least this score.

    Matching goes by score, strongest first, so weaker detections do not change what the others match. Only objects that
    a weaker one has found count as missed.
    """
    objects: dict[int, list[Box]] = {image['id']: [] for image in truth.images}
    found: dict[int, list[Box]] = {image['id']: [] for image in truth.images}
    for annotation in truth.evaluated:
        match = diagnostics['gt_match'].get(annotation['id'])
        matched = match is not None and detections[match - 1]['score'] >= score
        objects[annotation['image_id']].append(Box(annotation['bbox'], truth.categories[annotation['category_id']],
                                                   None if annotation['iscrowd'] else matched))
    strong = [(i, detection) for i, detection in enumerate(detections, 1) if detection['score'] >= score]
    for i, detection in sorted(strong, key=lambda item: item[1]['score']):
        status = diagnostics['dt_status'].get(i)
        found[detection['image_id']].append(Box(detection['bbox'], truth.categories[detection['category_id']],
                                                None if status is None else status == 'tp', detection['score']))
    return [image_result(image, objects[image['id']], found[image['id']]) for image in truth.images]


def image_result(image: dict, objects: list[Box], detections: list[Box]) -> ImageResult:
    """Counts what was found, missed and wrong in one image; without objects and detections its F1 is 1."""
    tp = sum(box.good is True for box in detections)
    fp = sum(box.good is False for box in detections)
    fn = sum(box.good is False for box in objects)
    f1 = 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 1.0
    size = (image['height'], image['width']) if 'height' in image and 'width' in image else None
    return ImageResult(image['id'], image['file_name'], tp, fp, fn, f1, objects, detections, size)
