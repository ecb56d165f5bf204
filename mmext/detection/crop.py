"""SSD's random crop: a much faster version of mmdet's with bit-identical results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import cast

import cv2
import numpy as np
import torch
from mmdet.datasets.transforms import Expand
from mmdet.datasets.transforms import MinIoURandomCrop as MMDetMinIoURandomCrop
from mmdet.structures.bbox import HorizontalBoxes, autocast_box_type

from mmext.errors import UserError
from mmext.registry import TRANSFORMS

Window = tuple[int, int, int, int]
ATTEMPTS = 50  # windows for each minimal IoU
MARGIN = 1 - 1e-4  # an IoU in double precision below MARGIN * limit is also below the limit in single precision


@TRANSFORMS.register_module()
class MinIoURandomCrop(MMDetMinIoURandomCrop):
    """SSD's expansion (Liu et al., arXiv 1512.02325, section 3.6) and random crop (section 2.2) in one transform.

    It chooses the same windows as mmdet from the same numbers of numpy's global generator, which is left in the same
    state. It is faster because up to 50 windows are tested with plain numbers instead of tensors, and only the chosen
    window of the expanded canvas is built. Samples are images (H, W, 3) with boxes, labels and ignore flags.

    Args:
        expand: the arguments of mmdet's ``Expand`` (mean, to_rgb, ratio_range, prob), which is applied first; None for
            no expansion.
        min_ious, min_crop_size, bbox_clip_border: see mmdet's ``MinIoURandomCrop``.

    Raises:
        UserError: ``expand`` is invalid; or a sample has no boxes, has masks, or has boxes that are not axis-aligned.
    """

    def __init__(self, *args, expand: dict | None = None, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        try:
            self.expand = None if expand is None else Expand(**expand)
        except (TypeError, ValueError) as error:
            raise UserError(f"MinIoURandomCrop: mmdet's Expand can't take expand={expand} ({error})") from None

    @autocast_box_type()
    def transform(self, results: dict) -> dict:
        """Changes img, img_shape, gt_bboxes, gt_bboxes_labels and gt_ignore_flags."""
        check_sample(results)
        height, width = results['img'].shape[:2]
        (canvas_height, canvas_width), (left, top) = self.sample_canvas(height, width)
        if (left, top) != (0, 0):
            results['gt_bboxes'].translate_([left, top])
        window = self.sample_window(canvas_height, canvas_width, results['gt_bboxes'])
        if window is not None:
            keep_inside(results, window, self.bbox_clip_border)
        elif (canvas_height, canvas_width) != (height, width):
            window = (0, 0, canvas_width, canvas_height)
        if window is not None:
            mean = None if self.expand is None else self.expand.mean
            results['img'] = patch_of(results['img'], shift(window, -left, -top), mean)
            results['img_shape'] = results['img'].shape[:2]
        return results

    def sample_canvas(self, height: int, width: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Draws the canvas of the expansion: its (height, width), and (left, top) of the image on it."""
        if self.expand is None or self.expand._random_prob() > self.expand.prob:
            return (height, width), (0, 0)
        ratio = self.expand._random_ratio()
        return (int(height * ratio), int(width * ratio)), self.expand._random_left_top(ratio, height, width)

    def sample_window(self, height: int, width: int, boxes: HorizontalBoxes) -> Window | None:
        """Draws a window (left, top, right, bottom) of a canvas with these boxes; None for the whole canvas."""
        corners = cast(torch.Tensor, boxes.tensor).numpy()
        while True:
            self.mode = self._random_mode()
            if self.mode == 1:
                return None
            hopeless = smallest_box_test(corners, float(self.mode))
            for window in self.sample_windows(height, width):
                if not hopeless(window) and fits(window, corners, float(self.mode)):
                    return window

    def sample_windows(self, height: int, width: int) -> Iterator[Window]:
        """Draws, lazily, up to 50 windows with an aspect ratio from 1:2 to 2:1.

        ``low + (high - low) * draw()`` is a faster form of ``np.random.uniform(low, high)``.
        """
        draw = np.random.random_sample
        least_w, least_h = self.min_crop_size * width, self.min_crop_size * height
        for _ in range(ATTEMPTS):
            w = least_w + (width - least_w) * draw()
            h = least_h + (height - least_h) * draw()
            if h / w < 0.5 or h / w > 2:
                continue
            left, top = width - w, height - h
            left += (1 - left) * draw()  # mmdet calls uniform(low), which ends at 1
            top += (1 - top) * draw()
            window = int(left), int(top), int(left + w), int(top + h)
            if window[2] != window[0] and window[3] != window[1]:
                yield window


def check_sample(results: dict) -> None:
    """Raises a UserError if a sample has no axis-aligned boxes, or has masks, which the crop does not support."""
    if not isinstance(results.get('gt_bboxes'), HorizontalBoxes):
        raise UserError('MinIoURandomCrop: gt_bboxes are not axis-aligned boxes (x1, y1, x2, y2); put LoadAnnotations '
                        'with with_bbox=True before it')
    for key in ('gt_masks', 'gt_seg_map'):
        if results.get(key) is not None:
            raise UserError(f"MinIoURandomCrop: crops boxes, not {key}; use type='mmdet.MinIoURandomCrop'")


def smallest_box_test(corners: np.ndarray, min_iou: float) -> Callable[[Window], bool]:
    """A fast test that recognises most windows whose IoU with the smallest box is certainly below ``min_iou``.

    Args:
        corners: boxes (N, 4) as x1, y1, x2, y2 in pixels.
        min_iou: the minimal IoU of all boxes with the window.
    """
    if not len(corners) or min_iou <= 0:
        return lambda window: False
    sizes = corners[:, 2:] - corners[:, :2]
    x1, y1, x2, y2 = corners[np.argmin(sizes[:, 0] * sizes[:, 1])].tolist()
    area, limit = (x2 - x1) * (y2 - y1), min_iou * MARGIN

    def hopeless(window: Window) -> bool:
        left, top, right, bottom = window
        overlap = max(min(right, x2) - max(left, x1), 0.0) * max(min(bottom, y2) - max(top, y1), 0.0)
        return overlap < limit * ((right - left) * (bottom - top) + area - overlap)

    return hopeless


def fits(window: Window, corners: np.ndarray, min_iou: float) -> bool:
    """Whether every box has at least this IoU with the window, and one has its centre in it; or there are no boxes.

    It computes in single precision with the same operations as mmdet.
    """
    if not len(corners):
        return True
    left, top, right, bottom = window
    if min_iou > 0:
        x1, y1, x2, y2 = corners.T
        overlap = (np.maximum(np.minimum(x2, right) - np.maximum(x1, left), 0)
                   * np.maximum(np.minimum(y2, bottom) - np.maximum(y1, top), 0))
        union = np.float32((right - left) * (bottom - top)) + (x2 - x1) * (y2 - y1) - overlap
        if float((overlap / np.maximum(union, np.float32(1e-6))).min()) < min_iou:
            return False
    return bool(centred(window, corners).any())


def centred(window: Window, corners: np.ndarray) -> np.ndarray:
    """Which boxes have their centre inside the window, (N,) of bool."""
    left, top, right, bottom = window
    x, y = ((corners[:, :2] + corners[:, 2:]) / 2).T
    return (x > left) & (y > top) & (x < right) & (y < bottom)


def keep_inside(results: dict, window: Window, clip: bool) -> None:
    """Keeps the boxes whose centre is in the window, in its coordinates, with their labels and flags."""
    boxes = results['gt_bboxes']
    if not len(boxes):
        return
    mask = centred(window, boxes.tensor.numpy())
    left, top, right, bottom = window
    boxes = boxes[mask]
    boxes.translate_([-left, -top])
    if clip:
        boxes.clip_([bottom - top, right - left])
    results['gt_bboxes'] = boxes
    for key in ('gt_ignore_flags', 'gt_bboxes_labels'):
        if results.get(key) is not None:
            results[key] = results[key][mask]


def shift(window: Window, x: int, y: int) -> Window:
    """A window moved by (x, y) pixels."""
    left, top, right, bottom = window
    return left + x, top + y, right + x, bottom + y


def patch_of(image: np.ndarray, window: Window, mean: Sequence[float] | None) -> np.ndarray:
    """The part of an image in a window; pixels outside of the image get the mean colour.

    Args:
        image: (H, W, 3), not modified; the result may be a view of it.
        window: left, top, right, bottom in pixels.
        mean: a value for each channel; not needed if the window is inside the image.
    """
    height, width = image.shape[:2]
    left, top, right, bottom = window
    x1, y1, x2, y2 = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    if (x1, y1, x2, y2) == window:
        return image[top:bottom, left:right]
    colour = np.asarray(mean).astype(image.dtype)  # fractions are truncated, as in mmdet
    if x1 >= x2 or y1 >= y2:
        return np.full((bottom - top, right - left, image.shape[2]), colour)
    return cv2.copyMakeBorder(image[y1:y2, x1:x2], y1 - top, bottom - y2, x1 - left, right - x2, cv2.BORDER_CONSTANT,
                              value=colour.tolist())
