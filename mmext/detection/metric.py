"""The twelve COCO metrics, unrounded, as pycocotools computes them."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from pathlib import Path

import numpy as np
from mmdet.datasets.api_wrappers import COCO
from mmdet.evaluation import CocoMetric as MMDetCocoMetric
from pycocotools.cocoeval import COCOeval

from mmext.detection.annotations import read_annotations
from mmext.registry import METRICS

NAMES = ('AP', 'AP50', 'AP75', 'APs', 'APm', 'APl', 'AR1', 'AR10', 'AR100', 'ARs', 'ARm', 'ARl')


@METRICS.register_module()
class CocoMetric(MMDetCocoMetric):
    """Detection metrics in the order and under the names of the papers' tables, as fractions of 1.

    Args:
        ann_file: the ground truth, a COCO annotation file.
        per_class: add ``<class>/AP``, ``/AP50``, ``/AP75``, ``/images`` and ``/objects`` for each class.
        outfile_prefix: keep the detections in ``<prefix>.bbox.json``, COCO's result format.
        kwargs: as for mmdet's.

    Raises:
        UserError: the annotation file is missing or malformed.
    """

    default_prefix = 'coco'

    def __init__(self, ann_file: str, per_class: bool = False, outfile_prefix: str | None = None, **kwargs) -> None:
        read_annotations(ann_file)
        with contextlib.redirect_stdout(io.StringIO()):
            super().__init__(ann_file=ann_file, metric='bbox', outfile_prefix=outfile_prefix, **kwargs)
        self.per_class = per_class

    def compute_metrics(self, results: list) -> dict[str, float]:
        """All detections of the data set -> name: value; -1 where the data set has no object of that size."""
        self.cat_ids = self._coco_api.get_cat_ids(cat_names=self.dataset_meta['classes'])
        predictions = [prediction for _, prediction in results]
        with tempfile.TemporaryDirectory() as folder:
            prefix = self.outfile_prefix or str(Path(folder) / 'detections')
            Path(prefix).parent.mkdir(parents=True, exist_ok=True)
            detections = json.loads(Path(self.results2json(predictions, prefix)['bbox']).read_text())
        return evaluate(self._coco_api, detections, self.cat_ids, self.per_class)


def evaluate(truth: COCO, detections: list[dict], category_ids: list[int], per_class: bool = False) -> dict[str, float]:
    """Detections in COCO's result format against the ground truth, over all of its images."""
    with contextlib.redirect_stdout(io.StringIO()):
        found = truth.loadRes(detections) if detections else COCO()
        evaluation = COCOeval(truth, found, 'bbox')
        evaluation.params.catIds = list(category_ids)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    metrics = dict(zip(NAMES, map(float, evaluation.stats)))
    if per_class:
        metrics.update(class_metrics(truth, evaluation, category_ids))
    return metrics


def class_metrics(truth: COCO, evaluation: COCOeval, category_ids: list[int]) -> dict[str, float]:
    """AP, AP50 and AP75 of each class, and how many images and objects (crowds aside) it has."""
    metrics = {}
    precision = evaluation.eval['precision'][:, :, :, 0, -1]  # (IoU, recall, class), all sizes, 100 detections
    for i, category in enumerate(category_ids):
        name = truth.cats[category]['name']
        objects = [annotation for annotation in truth.loadAnns(truth.getAnnIds(catIds=[category]))
                   if not annotation.get('iscrowd')]
        for metric, rows in (('AP', slice(None)), ('AP50', 0), ('AP75', 5)):
            values = precision[rows, :, i]
            metrics[f'{name}/{metric}'] = float(np.mean(values)) if len(objects) else -1.0
        metrics[f'{name}/images'] = len({annotation['image_id'] for annotation in objects})
        metrics[f'{name}/objects'] = len(objects)
    return metrics
