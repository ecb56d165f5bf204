"""Images with boxes of many kinds, as a pipeline's loading leaves them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from mmdet.structures.bbox import HorizontalBoxes

BOXES: dict[str, Callable] = {
    'none': lambda rng, h, w: np.zeros((0, 4)),
    'whole image': lambda rng, h, w: np.array([[0, 0, w, h]]),
    'one, large': lambda rng, h, w: np.array([[0.1 * w, 0.12 * h, 0.9 * w, 0.95 * h]]),
    'many': lambda rng, h, w: random_boxes(rng, 12, h, w),
    'large ones': lambda rng, h, w: np.array([[0, 0, w, h]]) + rng.uniform(-0.1, 0.1, (3, 4)) * [w, h, w, h],
    'tiny': lambda rng, h, w: np.tile(rng.uniform(0, 0.99, (3, 2)), 2) * [w, h, w, h] + [0, 0, 0.01 * w, 0.01 * h],
    'without area': lambda rng, h, w: np.tile(rng.uniform(0, 1, (2, 2)) * [w, h], 2),
    'turned inside out': lambda rng, h, w: random_boxes(rng, 3, h, w)[:, [2, 3, 0, 1]],
    'centres on whole pixels': lambda rng, h, w: 2 * (random_boxes(rng, 60, h, w) // 2),
    'beyond the border': lambda rng, h, w: random_boxes(rng, 4, h, w) * 1.5 - [0.2 * w, 0.2 * h, 0, 0],
}


def random_boxes(rng: np.random.Generator, count: int, height: int, width: int) -> np.ndarray:
    corners = rng.uniform(0, 1, (count, 2, 2)) * [width, height]
    return np.concatenate([corners.min(1), corners.max(1)], 1)


def sample(size: tuple[int, int], kind: str, seed: int = 0) -> dict:
    """As LoadAnnotations leaves it; about a third of the boxes are crowds."""
    rng = np.random.default_rng(seed)
    boxes = torch.from_numpy(BOXES[kind](rng, *size)).float()
    return dict(img=rng.integers(0, 256, (*size, 3), np.uint8), img_shape=size, ori_shape=size, img_id=7,
                gt_bboxes=HorizontalBoxes(boxes), gt_bboxes_labels=rng.integers(0, 80, len(boxes)),
                gt_ignore_flags=rng.random(len(boxes)) < 0.3)
