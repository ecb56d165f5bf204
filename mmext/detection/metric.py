"""The twelve COCO metrics of a detector, for validation and testing."""

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
    """Detection metrics with the names and order of tables in papers, as fractions of 1.

    Args:
        ann_file: the ground truth, a COCO annotation file.
        per_class: add ``<class>/AP``, ``/AP50``, ``/AP75``, ``/images`` and ``/objects`` for each class.
        reference: use pycocotools even if hotcoco is installed.
        detections_file: the file to which the detections are written in COCO's result format. ``mmext test`` sets the
            attribute ``results_file`` instead, so that no kept config names the file of another test.
        outfile_prefix: mmdet's name for the same; the file is ``<prefix>.bbox.json``.
        kwargs: the arguments of mmdet's ``CocoMetric``, except for those that select other metrics.

    Raises:
        UserError: the annotation file is missing or malformed, or other metrics are requested.
    """

    default_prefix = 'coco'
    paper_names = {name: f'{name[:2]}<sub>{name[2:].upper()}</sub>' for name in (
        'AP50', 'AP75', 'APs', 'APm', 'APl', 'AR1', 'AR10', 'AR100', 'ARs', 'ARm', 'ARl')}

    def __init__(self, ann_file: str, per_class: bool = False, reference: bool = False,
                 detections_file: str | None = None, outfile_prefix: str | None = None, **kwargs) -> None:
        other = [key for key in ('format_only', 'iou_thrs', 'metric_items') if kwargs.get(key)]
        if kwargs.get('metric', 'bbox') not in ('bbox', ['bbox']) or other:
            raise UserError(f'mmext.CocoMetric: it computes the twelve box metrics, which {(other or ["metric"])[0]!r} '
                            'cannot change; mmdet.CocoMetric has others')
        super().__init__(outfile_prefix=outfile_prefix, **kwargs)
        self.truth = read_ground_truth(ann_file)
        self.per_class = per_class
        self.reference = reference
        self.results_file = detections_file or (f'{outfile_prefix}.bbox.json' if outfile_prefix else None)

    @BaseMetric.dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict | None) -> None:
        """Also selects the classes of the ground truth, so that missing classes are found before a training starts."""
        self._dataset_meta = dataset_meta
        classes = (dataset_meta or {}).get('classes')
        if classes:
            self.truth = self.truth.of_classes(classes)

    def process(self, data_batch: object, data_samples: Sequence[dict]) -> None:
        """Stores the detections of each image.

        Args:
            data_batch: unused.
            data_samples: dict(img_id=int, pred_instances=dict(bboxes (n, 4), scores (n,), labels (n,))) for each
                image; boxes are x1, y1, x2, y2 in pixels of the original image.
        """
        for sample in data_samples:
            found = sample['pred_instances']
            self.results.append((sample['img_id'], *(found[key].cpu().numpy() for key in ('bboxes', 'scores',
                                                                                            'labels'))))

    def compute_metrics(self, results: list[tuple]) -> dict[str, float]:
        """Name -> value of the metrics over all detections; -1 if there are no objects of that size."""
        detections, left_out = from_arrays(results, self.truth.category_ids)
        if left_out:
            print_log(f'{left_out} of {left_out + len(detections)} detections are ignored: they are not finite, or '
                      'have a negative size', 'current', logging.WARNING)
        unseen = len({image['id'] for image in self.truth.images} - {image for image, *_ in results})
        if unseen:
            print_log(f'{unseen} of the {len(self.truth.images)} images of {self.truth.path} are not in the data set '
                      '(indices, filter_cfg); they count as images without detections', 'current',
                      logging.WARNING)
        if self.results_file:
            self.save_detections(self.results_file, detections)
        return evaluate(self.truth, detections, reference=self.reference, per_class=self.per_class)

    @staticmethod
    def save_detections(path: str, detections: list[dict]) -> None:
        """Writes the detections. A failure is only logged, so that the metrics of a long test are not lost."""
        try:
            write_detections(path, detections)
        except (OSError, DiskFull) as error:
            reason = getattr(error, 'strerror', None) or error
            print_log(f'{path}: the detections are not saved ({reason})', 'current', logging.ERROR)
            return
        print_log(f'detections: {path}', 'current')

    def evaluate_file(self, path: str) -> dict[str, float]:
        """The metrics of a file in COCO's result format, with the same names as in a test.

        Raises:
            UserError: the file is missing or malformed; the message names the entry.
        """
        metrics = evaluate(self.truth, read_detections(path, self.truth), reference=self.reference,
                           per_class=self.per_class)
        return {f'{self.prefix}/{name}': value for name, value in metrics.items()}
