"""The samples that a pipeline produces: their size, and what a page shows of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from mmengine.config import Config

from mmext.config_tree import datasets_of, kind_of


@dataclass(frozen=True)
class Shown:
    """What a page shows of a sample.

    Args:
        frames: the frames of a video, or one image; each RGB, uint8, (height, width, 3).
        labels: the labels of the objects, or the label of the sample.
        boxes: (objects, 4), x1, y1, x2, y2 in pixels; None for a task without boxes.
        ignored: (n, 4), the boxes that are not learnt, such as crowds.
        name: the file; '' if it is unknown.
    """

    frames: Sequence[np.ndarray]
    labels: Sequence[int]
    boxes: np.ndarray | None = None
    ignored: np.ndarray = field(default_factory=lambda: np.zeros((0, 4)))
    name: str = ''


@dataclass(frozen=True)
class Anchors:
    """The anchors of a detector for one image size.

    Args:
        boxes: (n, 4), x1, y1, x2, y2 in pixels of the network's input.
        least_iou: the IoU from which the assigner takes an anchor for an object.
        shapes: (m, 2), the different widths and heights among them.
    """

    boxes: np.ndarray
    least_iou: float
    shapes: np.ndarray


def training_pipeline(config: Config) -> list[dict]:
    """The training pipeline; without training data the config's ``train_pipeline``, else its ``test_pipeline``."""
    datasets = datasets_of(config, 'train_dataloader')
    return datasets[0]['pipeline'] if datasets else config.get('train_pipeline') or config.get('test_pipeline') or []


def picture_size(pipeline: Sequence[dict], keep_ratio: bool = False) -> tuple[int, int] | None:
    """The (height, width) in pixels of a pipeline's output; None if it depends on the image.

    Args:
        pipeline: Transforms of mmcv, mmdet, mmaction2 or mmext, whose sizes are (width, height).
        keep_ratio: The default of a Resize without ``keep_ratio``.
    """
    size = None
    for step in pipeline:
        kind = kind_of(step)
        given = step.get('size', step.get('crop_size', step.get('input_size')))
        if kind == 'Resize':
            size = None if step.get('keep_ratio', keep_ratio) else pair(step.get('scale'))
        elif 'Crop' in kind or 'Pad' in kind and given:
            size = pair(given)
    return size


def pair(size: object) -> tuple[int, int] | None:
    """Converts an int or (width, height) to (height, width); None if these are not positive integers."""
    width, height = size if isinstance(size, (list, tuple)) and len(size) == 2 else (size, size)
    if isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0:
        return height, width
    return None
