"""The maps of a dense head as rows, one for each anchor, in the order of mmdet's anchors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def anchors_first(maps: Tensor, numbers: int) -> Tensor:
    """Map (N, anchors x numbers, H, W) -> (N, anchors of all places, numbers)."""
    return maps.permute(0, 2, 3, 1).reshape(maps.shape[0], -1, numbers)


def all_anchors(maps: Sequence[Tensor], numbers: int) -> Tensor:
    """Maps (N, anchors x numbers, H, W) of all levels -> (N, anchors of all levels, numbers)."""
    return torch.cat([anchors_first(level, numbers) for level in maps], 1)
