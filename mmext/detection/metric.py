"""The twelve COCO metrics of a detector, in training and in tests."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from mmdet.evaluation import CocoMetric as MMDetCocoMetric
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mmext.detection.detections import from_arrays, read_detections, write_detections
from mmext.detection.evaluation import evaluate, read_ground_truth
from mmext.errors import DiskFull, UserError
from mmext.registry import METRICS


@METRICS.register_module()
class CocoMetric(MMDetCocoMetric):
    """Detection metrics in the order and under the names of the papers' tables, as fractions of 1.

    Args:
        ann_file: the ground truth, a COCO annotation file.
        per_class: add ``<class>/AP``, ``/AP50``, ``/AP75``, ``/images`` and ``/objects`` for each class.
        reference: use pycocotools even where faster-coco-eval is installed.
        detections_file: keep the detections there, in COCO's result format.
        outfile_prefix: mmdet's name for the same; the file is ``<prefix>.bbox.json``.
        kwargs: as for mmdet's. What asks for other metrics than these is refused.

    Raises:
        UserError: the annotation file is missing or malformed, or other metrics are asked for.
    """

    default_prefix = 'coco'
    paper_names = {name: f'{name[:2]}<sub>{name[2:].upper()}</sub>' for name in (
        'AP50', 'AP75', 'APs', 'APm', 'APl', 'AR1', 'AR10', 'AR100', 'ARs', 'ARm', 'ARl')}

    def __init__(self, ann_file: str, per_class: bool = False, reference: bool = False,
                 detections_file: str | None = None, outfile_prefix: str | None = None, **kwargs) -> None:
        other = [key for key in ('format_only', 'iou_thrs', 'metric_items') if kwargs.get(key)]
        if kwargs.get('metric', 'bbox') not in ('bbox', ['bbox']) or other:
            raise UserError(f'mmext.CocoMetric: it has the twelve metrics of boxes, which {(other or ["metric"])[0]!r} '
                            'does not change; mmdet.CocoMetric has others')
        super().__init__(outfile_prefix=outfile_prefix, **kwargs)
        self.truth = read_ground_truth(ann_file)
        self.per_class = per_class
        self.reference = reference
        self.detections_file = detections_file or (f'{outfile_prefix}.bbox.json' if outfile_prefix else None)

    @BaseMetric.dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict | None) -> None:
        """Set before the first image is seen, so that classes that the annotations lack are found before a training."""
        self._dataset_meta = dataset_meta
        classes = (dataset_meta or {}).get('classes')
        if classes:
            self.truth = self.truth.of_classes(classes)

    def process(self, data_batch: object, data_samples: Sequence[dict]) -> None:
        """Notes the detections of each image.

        Args:
            data_batch: not looked at.
            data_samples: a dict(img_id=int, pred_instances=dict(bboxes (n, 4), scores (n,), labels (n,))) an image;
                boxes are x1, y1, x2, y2 in pixels of the image as it is on disk.
        """
        for sample in data_samples:
            found = sample['pred_instances']
            self.results.append((sample['img_id'], *(found[key].cpu().numpy() for key in ('bboxes', 'scores',
                                                                                            'labels'))))

    def compute_metrics(self, results: list[tuple]) -> dict[str, float]:
        """All detections of the data set -> name: value; -1 where the data set has no object of that size."""
        detections, left_out = from_arrays(results, self.truth.category_ids)
        if left_out:
            print_log(f'{left_out} of {left_out + len(detections)} detections are left out: they are not finite, or '
                      'of a negative size', 'current', logging.WARNING)
        unseen = len({image['id'] for image in self.truth.images} - {image for image, *_ in results})
        if unseen:
            print_log(f'{unseen} of the {len(self.truth.images)} images of {self.truth.path} are not in the data set '
                      '(indices, filter_cfg); they count as images in which nothing was found', 'current',
                      logging.WARNING)
        if self.detections_file:
            self.keep(self.detections_file, detections)
        return evaluate(self.truth, detections, reference=self.reference, per_class=self.per_class)

    @staticmethod
    def keep(path: str, detections: list[dict]) -> None:
        """Writes the detections. Where that fails, the metrics of a long test are not lost with them."""
        try:
            write_detections(path, detections)
        except (OSError, DiskFull) as error:
            reason = getattr(error, 'strerror', None) or error
            print_log(f'{path}: the detections are not saved ({reason})', 'current', logging.ERROR)
            return
        print_log(f'detections: {path}', 'current')

    def evaluate_file(self, path: str) -> dict[str, float]:
        """The metrics of a file in COCO's result format, under the names that a test gives them.

        Raises:
            UserError: the file is missing or malformed; the message names the entry.
        """
        metrics = evaluate(self.truth, read_detections(path, self.truth), reference=self.reference,
                           per_class=self.per_class)
        return {f'{self.prefix}/{name}': value for name, value in metrics.items()}
