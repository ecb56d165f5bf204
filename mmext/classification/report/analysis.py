"""What a classifier or recognizer does right and wrong: all that its page says is derived from the scores of a test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from mmext.classification.metric import ranks
from mmext.classification.scores import SavedScores

BINS = 15  # as in Guo et al., "On Calibration of Modern Neural Networks", arXiv 1706.04599
TOP = 5
AT_ONCE = 4096  # samples
TOLERANCE = 1e-3  # of the sum of probabilities


@dataclass(frozen=True)
class ClassResult:
    """The results of one class.

    Attributes:
        name: of the class.
        samples: how many samples are of it.
        predicted: how many samples are taken for it.
        top1: the share of its samples that are recognized; -1 without samples.
        top5: the share of those for which it is among the five best classes; -1 likewise.
        precision: the share of ``predicted`` that are right; -1 without any.
        mistaken_for: the class that its samples are most often taken for; '' if none is.
        mistaken_share: of its samples; -1 if there are none.
    """

    name: str
    samples: int
    predicted: int
    top1: float
    top5: float
    precision: float
    mistaken_for: str
    mistaken_share: float


@dataclass(frozen=True)
class Sample:
    """One sample: its position in the test set, its name, the true and the predicted class, and their scores."""

    index: int
    name: str
    label: int
    truth: str
    found: str
    right: bool
    score: float
    score_of_truth: float


@dataclass(frozen=True)
class Analysis:
    """All numbers of a page.

    Attributes:
        samples: the number of samples.
        unscored: how many of them have a score that is NaN. They count as wrong in ``top1``, ``top5`` and the
            classes, and nowhere else.
        classes: in the order of the labels.
        top1, top5: of all samples; ``top5`` is None with five classes or fewer.
        mean_class: the mean of ``top1`` over the classes that have samples.
        most_frequent: the share of the most frequent class, which is the accuracy of always predicting it.
        confusion: counts (classes, classes), rows truth, columns predictions.
        bins: see ``calibration``; empty if the scores are not probabilities.
        ece, mce: the expected and the greatest calibration error.
        confidence: the mean score of the predictions.
        best: the right samples with the highest scores, highest first.
        worst: the wrong samples with the highest scores, highest first.
    """

    samples: int
    unscored: int
    classes: list[ClassResult]
    top1: float
    top5: float | None
    mean_class: float
    most_frequent: float
    confusion: np.ndarray
    bins: list[dict]
    ece: float
    mce: float
    confidence: float
    best: list[Sample]
    worst: list[Sample]


def analyse(saved: SavedScores, pictures: int) -> Analysis:
    """Analyses the scores of a test; ``pictures`` is the number of the best samples, and of the worst ones."""
    labels, count = saved.labels, len(saved.classes)
    rank = ranks(torch.from_numpy(saved.scores), torch.from_numpy(labels)).numpy()
    found, confidence, probable = predictions(saved.scores)
    scored = ~np.isnan(confidence)
    confusion = np.bincount(labels[scored] * count + found[scored], minlength=count ** 2).reshape(count, count)
    right = found == labels
    bins = calibration(confidence[scored], right[scored]) if probable else []
    weights, gaps = (np.array([entry[key] for entry in bins]) for key in ('count', 'gap'))
    classes = class_results(saved.classes, labels, rank, confusion)
    present = [cls for cls in classes if cls.samples]
    return Analysis(
        samples=len(labels), unscored=int((~scored).sum()), classes=classes, top1=float(np.mean(rank < 1)),
        top5=float(np.mean(rank < TOP)) if count > TOP else None,
        mean_class=float(np.mean([cls.top1 for cls in present])),
        most_frequent=max(cls.samples for cls in present) / len(labels), confusion=confusion, bins=bins,
        ece=float(weights @ gaps / max(weights.sum(), 1)) if bins else -1.0, mce=float(gaps.max()) if bins else -1.0,
        confidence=float(confidence[scored].mean()) if scored.any() else -1.0,
        best=most_confident(saved, found, confidence, scored & right, pictures),
        worst=most_confident(saved, found, confidence, scored & ~right, pictures))


def predictions(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool]:
    """The predicted class of each sample, its score, and whether the scores are probabilities.

    Args:
        scores: (N, C). Of a sample with a score that is NaN, the predicted score is NaN.
    """
    found, confidence, probable = [], [], True
    for start in range(0, len(scores), AT_ONCE):
        part = scores[start:start + AT_ONCE]
        known = ~np.isnan(part).any(1)
        found.append(part.argmax(1))
        confidence.append(np.where(known, part.max(1), np.nan).astype(np.float64))
        sums = part[known].sum(1, dtype=np.float64)
        probable &= bool((part[known] >= 0).all() and (np.abs(sums - 1) < TOLERANCE).all())
    return np.concatenate(found), np.concatenate(confidence), probable


def calibration(confidence: np.ndarray, right: np.ndarray) -> list[dict]:
    """How often predictions of a certain score are right, in ranges of the score with equal widths.

    Args:
        confidence: the scores of the predictions (N,), from 0 to 1.
        right: whether they are right (N,).

    Returns:
        For each range ``bin_lower``, ``bin_upper``, ``count``, ``avg_confidence``, ``avg_accuracy`` and their distance
        ``gap``, all 0 if the range is empty.
    """
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    counts = np.bincount(place, minlength=BINS)
    means, shares = (np.bincount(place, values, BINS) / np.maximum(counts, 1) for values in (confidence, right))
    return [dict(bin_lower=i / BINS, bin_upper=(i + 1) / BINS, count=int(counts[i]), avg_confidence=float(means[i]),
                 avg_accuracy=float(shares[i]), gap=float(abs(means[i] - shares[i]))) for i in range(BINS)]


def class_results(names: list[str], labels: np.ndarray, rank: np.ndarray, confusion: np.ndarray) -> list[
        ClassResult]:
    """The result of each class, in the order of the labels."""
    totals = np.bincount(labels, minlength=len(names))
    hits = [np.bincount(labels[rank < k], minlength=len(names)) for k in (1, TOP)]
    predicted, diagonal = confusion.sum(0), confusion.diagonal()
    mistakes = confusion - np.diag(diagonal)
    others, most = mistakes.argmax(1), mistakes.max(1)

    def share(part: int, whole: int) -> float:
        return float(part / whole) if whole else -1.0

    return [ClassResult(name, int(totals[i]), int(predicted[i]), share(hits[0][i], totals[i]),
                        share(hits[1][i], totals[i]), share(diagonal[i], predicted[i]),
                        names[others[i]] if most[i] else '', share(most[i], totals[i]) if most[i] else -1.0)
            for i, name in enumerate(names)]


def most_confident(saved: SavedScores, found: np.ndarray, confidence: np.ndarray, chosen: np.ndarray,
                   count: int) -> list[Sample]:
    """At most ``count`` of the chosen samples (N,), those with the highest score first; the earlier of equal ones."""
    places = np.flatnonzero(chosen)
    places = places[np.argsort(-confidence[places], kind='stable')[:count]]
    return [Sample(
        index=i, name=saved.names[i], label=int(saved.labels[i]), truth=saved.classes[saved.labels[i]],
        found=saved.classes[found[i]], right=bool(saved.labels[i] == found[i]), score=float(confidence[i]),
        score_of_truth=float(saved.scores[i, saved.labels[i]])) for i in places.tolist()]
