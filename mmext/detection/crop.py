"""SSD's random crop: mmdet's, draw for draw and bit for bit, in a fraction of its time."""

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
ATTEMPTS = 50  # windows for each minimum IoU
CLEARLY = 1 - 1e-4  # an IoU in double precision that is below this part of a limit is below it in single precision, too


@TRANSFORMS.register_module()
class MinIoURandomCrop(MMDetMinIoURandomCrop):
    """SSD's random crop (Liu et al., arXiv 1512.02325, section 2.2), and before it its expansion (section 3.6).

    The same windows as mmdet's, from the same numbers of numpy's global generator, which is left in the same state.
    What mmdet does with tensors for each of up to 50 windows is done with plain numbers, and of the expanded canvas
    only the window is built. Takes images (H, W, 3) with boxes, labels and ignore flags.

    Args:
        expand: arguments of mmdet's ``Expand`` (mean, to_rgb, ratio_range, prob), to do as if that came before; None
            for no expansion.
        min_ious, min_crop_size, bbox_clip_border: as for mmdet's.

    Raises:
        UserError: an argument that ``Expand`` does not have; a sample without boxes, with masks, or with boxes that are
            not upright.
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
        (canvas_height, canvas_width), (left, top) = self.draw_canvas(height, width)
        if (left, top) != (0, 0):
            results['gt_bboxes'].translate_([left, top])
        window = self.draw_window(canvas_height, canvas_width, results['gt_bboxes'])
        if window is not None:
            keep_inside(results, window, self.bbox_clip_border)
        elif (canvas_height, canvas_width) != (height, width):
            window = (0, 0, canvas_width, canvas_height)
        if window is not None:
            mean = None if self.expand is None else self.expand.mean
            results['img'] = patch_of(results['img'], shift(window, -left, -top), mean)
            results['img_shape'] = results['img'].shape[:2]
        return results

    def draw_canvas(self, height: int, width: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Draws the canvas: (height, width), and (left, top) of the image on it."""
        if self.expand is None or self.expand._random_prob() > self.expand.prob:
            return (height, width), (0, 0)
        ratio = self.expand._random_ratio()
        return (int(height * ratio), int(width * ratio)), self.expand._random_left_top(ratio, height, width)

    def draw_window(self, height: int, width: int, boxes: HorizontalBoxes) -> Window | None:
        """Draws a window of a canvas with these boxes: left, top, right, bottom; None for all of it."""
        corners = cast(torch.Tensor, boxes.tensor).numpy()
        while True:
            self.mode = self._random_mode()
            if self.mode == 1:
                return None
            hopeless = smallest_box_test(corners, float(self.mode))
            for window in self.draw_windows(height, width):
                if not hopeless(window) and fits(window, corners, float(self.mode)):
                    return window

    def draw_windows(self, height: int, width: int) -> Iterator[Window]:
        """Draws up to 50 windows whose height is half to twice their width; each only when it is asked for.

        ``low + (high - low) * draw()`` is ``np.random.uniform(low, high)``, quicker.
        """
        draw = np.random.random_sample
        least_w, least_h = self.min_crop_size * width, self.min_crop_size * height
        for _ in range(ATTEMPTS):
            w = least_w + (width - least_w) * draw()
            h = least_h + (height - least_h) * draw()
            if h / w < 0.5 or h / w > 2:
                continue
            left, top = width - w, height - h
            left += (1 - left) * draw()  # mmdet's uniform(low) is from low to 1
            top += (1 - top) * draw()
            window = int(left), int(top), int(left + w), int(top + h)
            if window[2] != window[0] and window[3] != window[1]:
                yield window


def check_sample(results: dict) -> None:
    """Raises: UserError: there are no boxes, or what the crop would have to cut beside them."""
    if not isinstance(results.get('gt_bboxes'), HorizontalBoxes):
        raise UserError('MinIoURandomCrop: gt_bboxes are not upright boxes (x1, y1, x2, y2); LoadAnnotations with '
                        'with_bbox=True belongs before it')
    for key in ('gt_masks', 'gt_seg_map'):
        if results.get(key) is not None:
            raise UserError(f"MinIoURandomCrop: cuts boxes, not {key}; mmdet's (type='mmdet.MinIoURandomCrop') does")


def smallest_box_test(corners: np.ndarray, min_iou: float) -> Callable[[Window], bool]:
    """A quick test that tells many windows in which the smallest box's IoU is surely less than ``min_iou``.

    Args:
        corners: of boxes, (N, 4) of x1, y1, x2, y2.
        min_iou: what all of them must have.
    """
    if not len(corners) or min_iou <= 0:
        return lambda window: False
    sizes = corners[:, 2:] - corners[:, :2]
    x1, y1, x2, y2 = corners[np.argmin(sizes[:, 0] * sizes[:, 1])].tolist()
    area, limit = (x2 - x1) * (y2 - y1), min_iou * CLEARLY

    def hopeless(window: Window) -> bool:
        left, top, right, bottom = window
        overlap = max(min(right, x2) - max(left, x1), 0.0) * max(min(bottom, y2) - max(top, y1), 0.0)
        return overlap < limit * ((right - left) * (bottom - top) + area - overlap)

    return hopeless


def fits(window: Window, corners: np.ndarray, min_iou: float) -> bool:
    """Whether every box has this IoU with the window, and one has its centre in it; or there is no box.

    In the boxes' single precision, and operation by operation, as mmdet does it.
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
    """Boxes whose centre is in the window, in its coordinates, with their labels and flags."""
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
    left, top, right, bottom = window
    return left + x, top + y, right + x, bottom + y


def patch_of(image: np.ndarray, window: Window, mean: Sequence[float] | None) -> np.ndarray:
    """The window (left, top, right, bottom) of an image, the mean colour where it lies outside.

    Args:
        image: (H, W, 3), left as it is; the patch may be a view of it.
        mean: a number for each channel; for a window inside the image not needed.
    """
    height, width = image.shape[:2]
    left, top, right, bottom = window
    x1, y1, x2, y2 = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    if (x1, y1, x2, y2) == window:
        return image[top:bottom, left:right]
    colour = np.asarray(mean).astype(image.dtype)  # a part of a grey level is cut off, as by mmdet
    if x1 >= x2 or y1 >= y2:
        return np.full((bottom - top, right - left, image.shape[2]), colour)
    return cv2.copyMakeBorder(image[y1:y2, x1:x2], y1 - top, bottom - y2, x1 - left, right - x2, cv2.BORDER_CONSTANT,
                              value=colour.tolist())
