"""Which classes are confused with each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Confusion(NamedTuple):
    """``count`` objects or samples of the class ``truth``, a ``share`` of all of them, were recognized as ``found``."""

    truth: str
    found: str
    count: int
    share: float


def between_classes(counts: np.ndarray, classes: int) -> np.ndarray:
    """The confusions (classes, classes) of two different classes; the diagonal is 0.

    Args:
        counts: rows truth, columns predictions. A row and a column after those of the classes are of background.
        classes: the number of classes.
    """
    confused = counts[:classes, :classes].copy()
    np.fill_diagonal(confused, 0)
    return confused


def top_confusions(counts: np.ndarray, names: Sequence[str], limit: int = 15) -> list[Confusion]:
    """The most frequent confusions of two classes.

    Args:
        counts: see ``between_classes``.
        names: of the classes, without background.
        limit: the greatest number of confusions.
    """
    totals = counts.sum(1)
    confused = between_classes(counts, len(names))
    pairs = np.argwhere(confused)
    order = np.lexsort((pairs[:, 1], pairs[:, 0], -confused[tuple(pairs.T)] / totals[pairs[:, 0]],
                        -confused[tuple(pairs.T)]))
    chosen: list[tuple[int, int]] = [tuple(pair) for pair in pairs[order[:limit]].tolist()]
    return [Confusion(names[row], names[column], int(counts[row, column]), float(counts[row, column] / totals[row]))
            for row, column in chosen]


def most_confused(counts: np.ndarray, classes: int, limit: int) -> list[int]:
    """The ``limit`` classes that are most often confused with others, in ascending order; see ``between_classes``."""
    confused = between_classes(counts, classes)
    mistakes = confused.sum(0) + confused.sum(1)
    return sorted(np.argsort(-mistakes, kind='stable')[:limit].tolist())


def submatrix(counts: np.ndarray, classes: int, kept: Sequence[int]) -> np.ndarray:
    """The counts of some of the classes, and of background if there is one; see ``between_classes``."""
    kept = [*kept, *range(classes, len(counts))]
    return counts[np.ix_(kept, kept)]


def condensed(counts: np.ndarray, classes: int, groups: int) -> tuple[np.ndarray, list[int]]:
    """Sums the confusions of neighbouring classes, so that a matrix of many classes becomes small.

    Args:
        counts, classes: see ``between_classes``.
        groups: the greatest number of groups of classes with neighbouring numbers; all but the last have equal sizes.

    Returns:
        Of all samples of a group, the share that is confused with another class, by the group of that class: (groups,
        groups), rows truth; and the number of the first class of each group.
    """
    size = -(-classes // groups)
    starts = list(range(0, classes, size))
    sums = np.add.reduceat(np.add.reduceat(between_classes(counts, classes), starts, 0), starts, 1)
    totals = np.add.reduceat(counts.sum(1)[:classes], starts)
    return sums / np.maximum(totals, 1)[:, None], starts
