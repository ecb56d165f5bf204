"""Which classes are confused with each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Confusion(NamedTuple):
    """``count`` objects of the class ``truth``, a ``share`` of all of them, were detected as ``found``."""

    truth: str
    found: str
    count: int
    share: float


def top_confusions(counts: np.ndarray, names: Sequence[str], limit: int = 15) -> list[Confusion]:
    """The most frequent confusions of two classes.

    Args:
        counts: (classes + 1, classes + 1), rows truth, columns detections; the last of each is background.
        names: of the classes, without background.
        limit: the greatest number of confusions.
    """
    objects = counts.sum(1)
    pairs = [(row, column) for row, column in np.argwhere(counts[:-1, :-1]).tolist() if row != column]
    pairs.sort(key=lambda pair: (-counts[pair], -counts[pair] / objects[pair[0]], pair))
    return [Confusion(names[row], names[column], int(counts[row, column]), float(counts[row, column] / objects[row]))
            for row, column in pairs[:limit]]


def most_confused(counts: np.ndarray, limit: int) -> list[int]:
    """The ``limit`` classes that are most often confused with others, in ascending order."""
    between = counts[:-1, :-1] * (1 - np.eye(len(counts) - 1, dtype=int))
    mistakes = between.sum(0) + between.sum(1)
    return sorted(np.argsort(-mistakes, kind='stable')[:limit].tolist())


def submatrix(counts: np.ndarray, classes: Sequence[int]) -> np.ndarray:
    """The counts of some classes, and of background."""
    kept = [*classes, len(counts) - 1]
    return counts[np.ix_(kept, kept)]
