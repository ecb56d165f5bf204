"""The result of a classifier for an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Classified:
    """The score of each class, from 0 to 1, by the name of the class."""

    scores: dict[str, float]

    def best(self, count: int) -> list[tuple[str, float]]:
        """The ``count`` classes with the highest scores, as (name, score), highest first."""
        return sorted(self.scores.items(), key=lambda item: -item[1])[:count]


def scores_by_name(classes: Sequence[str] | None, scores: Tensor) -> dict[str, float]:
    """Maps the names of the classes, or their numbers if ``classes`` is empty, to their scores (num_classes,)."""
    return {str(name): score for name, score in zip(classes or range(len(scores)), scores.tolist())}
