"""What a classifier says of a picture that has no label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Classified:
    """The score of each class, from 0 to 1, under its name."""

    scores: dict[str, float]

    def best(self, count: int) -> list[tuple[str, float]]:
        """The classes with the highest scores, and these."""
        return sorted(self.scores.items(), key=lambda item: -item[1])[:count]


def scores_by_name(classes: Sequence[str] | None, scores: Tensor) -> dict[str, float]:
    """Scores (num_classes,) under the names of their classes, or under their numbers where these have no names."""
    return {str(name): score for name, score in zip(classes or range(len(scores)), scores.tolist())}
