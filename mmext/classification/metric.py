"""Top-k accuracy: the share of images whose class is among the k classes with the highest scores."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mmext.classification.scores import SavedScores, read_scores, write_scores
from mmext.errors import DiskFull, UserError, shorten
from mmext.registry import METRICS

AT_ONCE = 4096  # images


@METRICS.register_module()
class Accuracy(BaseMetric):
    """Top-k accuracy: ``accuracy/top<k>`` for each k, and ``accuracy/error1`` = 1 - top1, from 0 to 1.

    If several classes have equal scores, the first one counts as the highest, as in argmax. An image with a score that
    is NaN counts as wrong.

    Args:
        topk: The numbers k. Numbers above the number of classes are left out, since the accuracy would always be 1; so
            the default also works for two to four classes.
        per_class: Whether to add ``<class>/top<k>`` and ``<class>/images`` for each class; the accuracy of a class
            without images is -1.
        kwargs: Arguments of mmengine's ``BaseMetric``.

    Attributes:
        results_file: The file to which the scores of all classes are written, see ``scores.write_scores``; None for
            none. It is an attribute and no argument, so that no kept config names the file of another test.

    Raises:
        UserError: A k is not a positive integer, every k is above the number of classes, or the model and the data have
            different numbers of classes.
    """

    default_prefix = 'accuracy'
    paper_names = dict(top1='top-1', top5='top-5', error1='top-1 error')
    results_file: str | None = None

    def __init__(self, topk: Sequence[int] = (1, 5), per_class: bool = False, **kwargs) -> None:
        super().__init__(**kwargs)
        self.topk = (topk, ) if isinstance(topk, int) else tuple(topk)
        if not self.topk or not all(isinstance(k, int) and k > 0 for k in self.topk):
            raise UserError(f'Accuracy: topk={topk} is not a list of positive integers')
        self.per_class = per_class

    def process(self, data_batch: object, data_samples: Sequence[dict]) -> None:
        """Records the label and the rank of each image.

        Args:
            data_batch: Its ``names``, if it has any, are kept with the scores.
            data_samples: For each image a dict(pred_scores=tensor (num_classes,), gt_label=int).

        Raises:
            UserError: The model and the data have different numbers of classes.
        """
        scores = torch.stack([sample['pred_scores'] for sample in data_samples])
        labels = torch.tensor([int(sample['gt_label']) for sample in data_samples], device=scores.device)
        self.check_classes(scores.shape[1], labels)
        kept: list[Sequence] = [labels.tolist(), ranks(scores, labels).tolist()]
        if self.results_file:
            names = data_batch.get('names') if isinstance(data_batch, Mapping) else None
            kept += [list(map(str, names or [''] * len(labels))), list(scores.float().cpu().numpy())]
        self.results.extend(zip(*kept))

    @BaseMetric.dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict | None) -> None:
        """Checks ``topk`` as soon as the classes are known, which is before a training starts."""
        self._dataset_meta = dataset_meta
        self.check_topk(len((dataset_meta or {}).get('classes') or ()) or None)

    def check_topk(self, num_classes: int | None) -> None:
        """Drops every k above the number of classes. Raises UserError if none is left."""
        if not num_classes or max(self.topk) <= num_classes:
            return
        kept = tuple(k for k in self.topk if k <= num_classes)
        if not kept:
            raise UserError(f'val_evaluator.topk={self.topk}: there are only {num_classes} classes; give smaller '
                            'numbers, there and in test_evaluator')
        self.topk = kept

    def check_classes(self, num_classes: int, labels: torch.Tensor) -> None:
        """Raises UserError if the model's number of classes does not fit the data set and its labels."""
        self.check_topk(num_classes)
        named = len((self.dataset_meta or {}).get('classes') or range(num_classes))
        if named != num_classes:
            raise UserError(f'model: it has {num_classes} classes, the data set {named}; set its num_classes')
        if not 0 <= labels.min() <= labels.max() < num_classes:
            raise UserError(f'model: it has {num_classes} classes, the data set labels from {labels.min()} to '
                            f'{labels.max()}; set its num_classes')

    def compute_metrics(self, results: list[tuple]) -> dict[str, float]:
        """Computes the metrics, without their prefix.

        Args:
            results: (label, rank of its score) of all images, then name and scores if they are written to a file.
        """
        labels, found = np.array([result[:2] for result in results]).reshape(-1, 2).T
        if self.results_file:
            self.save_scores(self.results_file, labels, results)
        return self.metrics_of(labels, found)

    def metrics_of(self, labels: np.ndarray, found: np.ndarray) -> dict[str, float]:
        """The metrics, without their prefix, from the label (N,) and its rank (N,) of all images."""
        metrics = self.shares(found)
        if 1 in self.topk:
            metrics['error1'] = 1 - metrics['top1']
        if self.per_class:
            for label, name in enumerate((self.dataset_meta or {}).get('classes') or range(labels.max() + 1)):
                own = found[labels == label]
                metrics.update({f'{name}/{key}': value for key, value in self.shares(own).items()})
                metrics[f'{name}/images'] = len(own)
        return metrics

    def save_scores(self, path: str, labels: np.ndarray, results: list[tuple]) -> None:
        """Writes the scores. A failure is only logged, so that the metrics of a long test are not lost."""
        scores = np.stack([result[3] for result in results])
        classes = (self.dataset_meta or {}).get('classes') or range(scores.shape[1])
        try:
            write_scores(path, SavedScores(scores, labels, [result[2] for result in results], list(map(str, classes))))
        except (OSError, DiskFull) as error:
            reason = getattr(error, 'strerror', None) or error
            print_log(f'{path}: the scores are not saved ({reason})', 'current', logging.ERROR)
            return
        print_log(f'scores: {path}', 'current')

    def evaluate_file(self, path: str) -> dict[str, float]:
        """The metrics of a file of scores, with the same names as in a test.

        Raises:
            UserError: The file is missing or malformed, or the classes of the data are known and differ.
        """
        saved = read_scores(path)
        known = (self.dataset_meta or {}).get('classes')
        if known and list(known) != list(saved.classes):
            raise UserError(f'{path}: its {len(saved.classes)} classes ({shorten(saved.classes)}) are not the '
                            f"config's {len(known)} ({shorten(known)})")
        self.dataset_meta = dict(classes=saved.classes)
        found = ranks(torch.from_numpy(saved.scores), torch.from_numpy(saved.labels)).numpy()
        metrics = self.metrics_of(saved.labels, found)
        return {f'{self.prefix}/{name}': value for name, value in metrics.items()}

    def shares(self, found: np.ndarray) -> dict[str, float]:
        """The top-k accuracies for the ranks (N,) of images; -1 if there are none."""
        return {f'top{k}': float(np.mean(found < k)) if len(found) else -1.0 for k in self.topk}


def ranks(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The rank of the right class, from 0: scores (N, C), labels (N,) -> int64 (N,); C if any score is NaN."""
    return torch.cat([ranks_of_few(*part) for part in zip(scores.split(AT_ONCE), labels.split(AT_ONCE))])


def ranks_of_few(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """``ranks`` of so few images that temporary tensors do not matter."""
    own = scores.gather(1, labels[:, None])
    earlier = torch.arange(scores.shape[1], device=scores.device) < labels[:, None]
    before = ((scores > own) | ((scores == own) & earlier)).sum(1)
    return torch.where(scores.isnan().any(1), scores.shape[1], before)


def log_loss(scores: torch.Tensor, labels: Sequence[int]) -> torch.Tensor:
    """The cross entropy of predictions, a mean over samples.

    Args:
        scores: The probabilities of the classes (N, C). A score below the smallest normal number counts as that number.
        labels: The right class of each sample.
    """
    own = scores.gather(1, torch.as_tensor(labels, device=scores.device).reshape(-1, 1))
    return -own.clamp(min=torch.finfo(own.dtype).tiny).log().mean()
