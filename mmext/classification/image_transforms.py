"""Transforms of single images for classification. Loading, resizing, centre crops and flips come from mmcv."""

from __future__ import annotations

import math
from collections.abc import Sequence

import mmcv
import numpy as np
import torch
from mmcv.transforms import BaseTransform

from mmext.errors import UserError
from mmext.registry import TRANSFORMS

ATTEMPTS = 10


@TRANSFORMS.register_module()
class RandomResizedCrop(BaseTransform):
    """Crops a window of random area and aspect ratio, and resizes it to size x size pixels (Szegedy et al., arXiv
    1409.4842, section 6).

    The ratio of the window's area to the image's is uniform in ``scale``, and the logarithm of its aspect ratio is
    uniform in the range given by ``ratio``. If ten windows in a row do not fit into the image, the largest centred
    window with an allowed aspect ratio is used. Random numbers come from numpy's global generator.

    Args:
        size: Side of the result in pixels.
        scale: Smallest and largest ratio of the window's area to the image's.
        ratio: Smallest and largest aspect ratio (width / height).
        interpolation: Argument of ``mmcv.imresize``.
        backend: Argument of ``mmcv.imresize``; 'pillow' has antialiasing, 'cv2' is faster.

    Raises:
        UserError: A range is invalid.
    """

    def __init__(self, size: int = 224, scale: Sequence[float] = (0.08, 1.0), ratio: Sequence[float] = (3 / 4, 4 / 3),
                 interpolation: str = 'bilinear', backend: str = 'cv2') -> None:
        for name, values in (('scale', scale), ('ratio', ratio)):
            if len(values) != 2 or not 0 < values[0] <= values[1]:
                raise UserError(f'RandomResizedCrop: {name}={values} is not a range, the smallest and the largest of '
                                'two numbers above 0')
        self.size = size
        self.scale = scale[0], scale[1]
        self.ratio = ratio[0], ratio[1]
        self.interpolation = interpolation
        self.backend = backend

    def transform(self, results: dict) -> dict:
        """Replaces ``img`` and sets ``img_shape`` to its (height, width)."""
        top, left, height, width = self.window(*results['img'].shape[:2])
        crop = results['img'][top:top + height, left:left + width]
        image = mmcv.imresize(crop, (self.size, self.size), interpolation=self.interpolation, backend=self.backend)
        assert isinstance(image, np.ndarray)
        results.update(img=image, img_shape=image.shape[:2])
        return results

    def window(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Draws a random window of an image: (top, left, height, width)."""
        for _ in range(ATTEMPTS):
            area = height * width * np.random.uniform(*self.scale)
            ratio = math.exp(np.random.uniform(*np.log(self.ratio)))
            w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < w <= width and 0 < h <= height:
                return np.random.randint(height - h + 1), np.random.randint(width - w + 1), h, w
        ratio = min(max(width / height, self.ratio[0]), self.ratio[1])
        w, h = min(width, max(round(height * ratio), 1)), min(height, max(round(width / ratio), 1))
        return (height - h) // 2, (width - w) // 2, h, w


@TRANSFORMS.register_module()
class PackClassInputs(BaseTransform):
    """dict(img=uint8 BGR array (H, W, 3), gt_label=...) -> dict(inputs=uint8 RGB tensor (3, H, W), labels=int).

    ``img_path``, if there is one, is kept as ``names``, for messages about a batch.
    """

    def transform(self, results: dict) -> dict:
        """Packs the results.

        Raises:
            UserError: The image is not uint8 with three channels. Normalising is up to the data preprocessor.
        """
        image = results['img']
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise UserError(f'PackClassInputs: the image is {image.dtype} of shape {image.shape}, not uint8 (H, W, 3); '
                            'normalising is up to model.data_preprocessor')
        rgb = np.ascontiguousarray(image[..., ::-1].transpose(2, 0, 1))
        sample = dict(inputs=torch.from_numpy(rgb), labels=int(results['gt_label']))
        return dict(sample, names=results['img_path']) if 'img_path' in results else sample
