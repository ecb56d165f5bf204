"""Transforms of whole batches, which process all images at once.

They take and return dict(inputs=uint8 tensor (N, C, H, W), ...), and draw random numbers from torch's global generator,
which every loader worker seeds differently. The pixels are copied with numpy, since torch would use threads, whose
overhead exceeds their benefit for so little work, by a factor of forty if another process keeps the CPU busy.
"""

from __future__ import annotations

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from torch import Tensor
from torch.nn import functional

from mmext.errors import UserError
from mmext.registry import TRANSFORMS


@TRANSFORMS.register_module()
class BatchCenterPad(BaseTransform):
    """Pads images with zeros on all sides to size x size pixels. Any odd row or column is added at the end.

    Args:
        size: Side of the result in pixels.

    Raises:
        UserError: The images are larger.
    """

    def __init__(self, size: int = 32) -> None:
        self.size = size

    def transform(self, batch: dict) -> dict:
        """Pads ``inputs``."""
        return dict(batch, inputs=torch.from_numpy(center_pad(batch['inputs'], self.size,
                                                              'BatchCenterPad: size')))


@TRANSFORMS.register_module()
class BatchResize(BaseTransform):
    """Resizes images to size x size pixels with bilinear interpolation, antialiased as in Pillow.

    Args:
        size: Side of the result in pixels.

    Raises:
        UserError: The size is not a positive integer.
    """

    def __init__(self, size: int = 32) -> None:
        if not isinstance(size, int) or size < 1:
            raise UserError(f'BatchResize: size={size} is not a positive number of pixels')
        self.size = size

    def transform(self, batch: dict) -> dict:
        """Resizes ``inputs``."""
        size = self.size, self.size
        images = functional.interpolate(batch['inputs'].float(), size, mode='bilinear', antialias=True)
        return dict(batch, inputs=images.round().clamp(0, 255).to(torch.uint8))


@TRANSFORMS.register_module()
class BatchRandomCrop(BaseTransform):
    """Pads images with zeros to pad_to x pad_to pixels, and crops each at a random position to size x size pixels.

    With the defaults a CIFAR image is padded by 4 pixels on each side.

    Args:
        size: Side of the crop in pixels.
        pad_to: Side of the padded image in pixels, at least ``size``.

    Raises:
        UserError: ``pad_to`` is smaller than ``size``, or the images are larger.
    """

    def __init__(self, size: int = 32, pad_to: int = 40) -> None:
        if not 0 < size <= pad_to:
            raise UserError(f'BatchRandomCrop: size={size} is not between 1 and pad_to={pad_to}')
        self.size = size
        self.pad_to = pad_to

    def transform(self, batch: dict) -> dict:
        """Pads and crops ``inputs``."""
        padded = center_pad(batch['inputs'], self.pad_to, 'BatchRandomCrop: pad_to')
        top, left = torch.randint(self.pad_to - self.size + 1, (2, len(padded))).numpy()
        windows = np.lib.stride_tricks.sliding_window_view(padded, (self.size, self.size), (2, 3))
        return dict(batch, inputs=torch.from_numpy(windows[np.arange(len(padded)), :, top, left]))


@TRANSFORMS.register_module()
class BatchRandomFlip(BaseTransform):
    """Flips each image horizontally with the probability ``prob``. Raises UserError if that is not from 0 to 1."""

    def __init__(self, prob: float = 0.5) -> None:
        if not 0 <= prob <= 1:
            raise UserError(f'BatchRandomFlip: prob={prob} is not a probability from 0 to 1')
        self.prob = prob

    def transform(self, batch: dict) -> dict:
        """Flips ``inputs``."""
        images = batch['inputs'].numpy().copy()
        chosen = (torch.rand(len(images)) < self.prob).numpy()
        images[chosen] = images[chosen][..., ::-1]
        return dict(batch, inputs=torch.from_numpy(images))


def center_pad(images: Tensor, size: int, argument: str) -> np.ndarray:
    """Pads images (N, C, H, W) with zeros on all sides to (N, C, size, size).

    Raises:
        UserError: The images are larger; the message names ``argument``.
    """
    count, channels, height, width = images.shape
    if height > size or width > size:
        raise UserError(f'{argument}={size} is too small for images of {height} x {width} pixels')
    top, left = (size - height) // 2, (size - width) // 2
    padded = np.zeros((count, channels, size, size), np.uint8)
    padded[:, :, top:top + height, left:left + width] = images.numpy()
    return padded
