"""SSD's colour jitter: a faster version of mmdet's with bit-identical results."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np
from mmdet.datasets.transforms import PhotoMetricDistortion as MMDetPhotoMetricDistortion

from mmext.registry import TRANSFORMS


@TRANSFORMS.register_module()
class PhotoMetricDistortion(MMDetPhotoMetricDistortion):
    """SSD's colour jitter as in mmdet: brightness, contrast, saturation, hue and channel order.

    It gives the same pixels as mmdet, bit for bit, from the same numbers of numpy's global generator. It is faster
    because hue is shifted without indexing, flipped images are copied by OpenCV, and channels are written as separate
    planes, the layout that ``PackDetInputs`` needs.
    """

    def transform(self, results: dict) -> dict:
        """Converts img, (H, W, 3) of uint8, to float32 from about -32 to 430, stored in memory channel by channel."""
        (mode, brightness, contrast, saturation, hue, swap, delta, alpha, saturation_factor, hue_delta,
         order) = self._random_flags()
        image = unflipped(results['img']).astype(np.float32, order='C')  # OpenCV writes to it in place
        if brightness:
            image += delta
        if contrast and mode == 1:
            image *= alpha
        image = cv2.cvtColor(image, cv2.COLOR_BGR2HSV, dst=image)
        if saturation:
            with channel_of(image, 1) as values:
                scale_saturation(values, saturation_factor)
        if hue:
            with channel_of(image, 0) as values:
                shift_hue(values, hue_delta)
        image = cv2.cvtColor(image, cv2.COLOR_HSV2BGR, dst=image)
        planes = planes_of(image, order.tolist() if swap else [0, 1, 2])
        if contrast and mode == 0:
            planes *= alpha
        results['img'] = planes.transpose(1, 2, 0)
        return results


def unflipped(image: np.ndarray) -> np.ndarray:
    """A copy of a mirrored view with its pixels in order; OpenCV copies it faster than numpy. Others are unchanged."""
    return cv2.flip(image[:, ::-1], 1) if image.strides[1] < 0 else image


@contextmanager
def channel_of(image: np.ndarray, channel: int) -> Iterator[np.ndarray]:
    """A context with a contiguous copy of a channel, which is written back at the end; numpy is faster on it."""
    values = cv2.extractChannel(image, channel)
    yield values
    cv2.insertChannel(values, image, channel)


def scale_saturation(saturation: np.ndarray, factor: float) -> None:
    """Scales saturation, (H, W), in place; an increase is limited to 1, as in mmdet."""
    saturation *= factor
    if factor > 1:
        np.minimum(saturation, 1, out=saturation)


def shift_hue(hue: np.ndarray, delta: float) -> None:
    """Shifts hue, (H, W) in degrees from 0 to 360, in place and cyclically."""
    hue += delta
    if delta > 0:
        np.subtract(hue, 360, out=hue, where=hue > 360)
    else:
        np.add(hue, 360, out=hue, where=hue < 0)


def planes_of(image: np.ndarray, order: list[int]) -> np.ndarray:
    """Converts (H, W, 3) to (3, H, W), whose i-th plane is channel ``order[i]``."""
    planes = np.empty((3, *image.shape[:2]), image.dtype)
    cv2.mixChannels([image], list(planes), [number for pair in zip(order, range(3)) for number in pair])
    return planes
