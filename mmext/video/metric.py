"""The metrics of recognizers that papers print: top-k accuracy and error, and mean class accuracy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmext.classification.metric import Accuracy
from mmext.registry import METRICS


@METRICS.register_module()
class ActionAccuracy(Accuracy):
    """``Accuracy`` for mmaction2's recognizers, with ``error<k>`` = 1 - top<k> for each k, and ``mean_class``.

    ``mean_class`` is the mean of the classes' top-1 accuracies, over the classes that have videos, as mmaction2's
    ``mean_class_accuracy``.

    Args:
        kwargs: as for ``Accuracy``; in ``per_class``'s table, images are videos.
    """

    paper_names = dict(Accuracy.paper_names, error5='top-5 error', mean_class='mean class')

    def process(self, data_batch: object, data_samples: Sequence[dict]) -> None:
        """Records label and rank of each video.

        Args:
            data_batch: not used.
            data_samples: dicts with pred_score (num_classes,) and gt_label (1,), and filename if the pipeline keeps it.
        """
        names = [sample.get('filename', '') for sample in data_samples]
        super().process(dict(names=names), [dict(pred_scores=sample['pred_score'], gt_label=sample['gt_label'])
                                            for sample in data_samples])

    def metrics_of(self, labels: np.ndarray, found: np.ndarray) -> dict[str, float]:
        metrics = super().metrics_of(labels, found)
        metrics.update({f'error{k}': 1 - metrics[f'top{k}'] for k in self.topk})
        metrics['mean_class'] = float(np.mean([np.mean(found[labels == label] == 0) for label in np.unique(labels)]))
        return {name.replace('/images', '/videos'): value for name, value in metrics.items()}
