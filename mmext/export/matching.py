"""The difference of two sets of detections, whatever the order of those with nearly equal scores."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mmext.engine.fusion import Difference

PIXELS, SCORE = 0.1, 1e-3  # two detections are the same if boxes and scores differ by no more
SHARE = 0.05  # of detections that may differ: rounding decides which of two overlapping boxes with equal scores remains


def detection_differences(found: Sequence[Tensor], expected: Sequence[Tensor], side: float) -> dict[str, Difference]:
    """The largest differences of detections that are the same, and how many of one set are not in the other.

    Two detections are the same if labels are equal, and boxes and scores differ by no more than ``PIXELS`` and
    ``SCORE``. One that is missing in the other set does not count if its score is nearly the lowest: where a set is
    full, that is a matter of rounding.

    Args:
        found: boxes (N, M, 4), scores (N, M) and labels (N, M); those with score 0 are no detections.
        expected: the same; M may differ.
        side: the longer side of the images in pixels.

    Returns:
        ``boxes`` in pixels and as a fraction of the side; ``scores``; ``labels``: the number of detections that are not
        the same, and its share in all.
    """
    boxes = scores = 0.0
    missing = total = 0
    for one, other in zip(zip(*found), zip(*expected), strict=True):
        one, other = real(one), real(other)
        total += max(len(one[1]), len(other[1]))
        partners = pairs(one, other)
        mine, theirs = (torch.tensor(places, dtype=torch.long) for places in partners)
        boxes = max(boxes, largest(one[0][mine] - other[0][theirs]))
        scores = max(scores, largest(one[1][mine] - other[1][theirs]))
        missing += max(unpaired(one[1], mine), unpaired(other[1], theirs))
    return dict(boxes=Difference(boxes, boxes / side), scores=Difference(scores, scores),
                labels=Difference(missing, missing / max(total, 1)))


def real(detections: Sequence[Tensor]) -> list[Tensor]:
    """Boxes, scores and labels of one image, without the padding."""
    there = detections[1] > 0
    return [part[there] for part in detections]


def pairs(one: Sequence[Tensor], other: Sequence[Tensor]) -> tuple[list[int], list[int]]:
    """The places of the same detections in two sets, each of which has one partner."""
    mine: list[int] = []
    theirs: list[int] = []
    if not len(one[1]) or not len(other[1]):
        return mine, theirs
    apart = (one[0][:, None] - other[0]).abs().amax(-1) / PIXELS
    apart = torch.maximum(apart, (one[1][:, None] - other[1]).abs() / SCORE)
    apart[one[2][:, None] != other[2]] = torch.inf
    for place, distances in enumerate(apart):
        best = int(distances.argmin())
        if distances[best] <= 1:
            mine.append(place)
            theirs.append(best)
            apart[:, best] = torch.inf
    return mine, theirs


def unpaired(scores: Tensor, paired: Tensor) -> int:
    """The number of detections without a partner, but for those that are nearly the lowest."""
    alone = torch.ones_like(scores, dtype=torch.bool)
    alone[paired] = False
    return int((alone & (scores > scores.min() + SCORE)).sum()) if len(scores) else 0


def largest(values: Tensor) -> float:
    """The largest absolute value; 0 if there is none."""
    return values.abs().max().item() if values.numel() else 0.0
