"""Augmentation of whole batches: a few operations on all images at once.

They change dict(inputs=uint8 tensor (N, C, H, W), ...) and draw from torch's global generator, which loader workers
have seeded each in its own way. The pixels are moved by numpy: threads, which torch would use for so little, cost more
than they bring, and forty times as much where another process has the processor.
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
    """Zeros around images up to size x size pixels; where the number is odd, the last row and column more.

    Args:
        size: pixels.

    Raises:
        UserError: the images are larger.
    """

    def __init__(self, size: int = 32) -> None:
        self.size = size

    def transform(self, batch: dict) -> dict:
        return dict(batch, inputs=torch.from_numpy(center_pad(batch['inputs'], self.size,
                                                              'BatchCenterPad: size')))


@TRANSFORMS.register_module()
class BatchResize(BaseTransform):
    """Brings images to size x size pixels, bilinearly; what is larger is smoothed first, as Pillow does.

    Args:
        size: pixels, above 0.
    """

    def __init__(self, size: int = 32) -> None:
        if not isinstance(size, int) or size < 1:
            raise UserError(f'BatchResize: size={size} is no number of pixels')
        self.size = size

    def transform(self, batch: dict) -> dict:
        size = self.size, self.size
        images = functional.interpolate(batch['inputs'].float(), size, mode='bilinear', antialias=True)
        return dict(batch, inputs=images.round().clamp(0, 255).to(torch.uint8))


@TRANSFORMS.register_module()
class BatchRandomCrop(BaseTransform):
    """Pads images with zeros to pad_to x pad_to pixels and takes a size x size window of each, at a place of its own.

    With 32 and 40 a CIFAR image gets 4 pixels on each side.

    Args:
        size: of a window, pixels.
        pad_to: pixels, not less than ``size``.

    Raises:
        UserError: ``pad_to`` is too small, or the images are larger.
    """

    def __init__(self, size: int = 32, pad_to: int = 40) -> None:
        if not 0 < size <= pad_to:
            raise UserError(f'BatchRandomCrop: no window of size={size} in images of pad_to={pad_to}')
        self.size = size
        self.pad_to = pad_to

    def transform(self, batch: dict) -> dict:
        padded = center_pad(batch['inputs'], self.pad_to, 'BatchRandomCrop: pad_to')
        top, left = torch.randint(self.pad_to - self.size + 1, (2, len(padded))).numpy()
        windows = np.lib.stride_tricks.sliding_window_view(padded, (self.size, self.size), (2, 3))
        return dict(batch, inputs=torch.from_numpy(windows[np.arange(len(padded)), :, top, left]))


@TRANSFORMS.register_module()
class BatchRandomFlip(BaseTransform):
    """Turns images left to right, each with the probability ``prob``."""

    def __init__(self, prob: float = 0.5) -> None:
        if not 0 <= prob <= 1:
            raise UserError(f'BatchRandomFlip: prob={prob} is no probability')
        self.prob = prob

    def transform(self, batch: dict) -> dict:
        images = batch['inputs'].numpy().copy()
        chosen = (torch.rand(len(images)) < self.prob).numpy()
        images[chosen] = images[chosen][..., ::-1]
        return dict(batch, inputs=torch.from_numpy(images))


def center_pad(images: Tensor, size: int, argument: str) -> np.ndarray:
    """Images (N, C, H, W) in the middle of zeros (N, C, size, size)."""
    count, channels, height, width = images.shape
    if height > size or width > size:
        raise UserError(f'{argument}={size} is too small for images of {height} x {width} pixels')
    top, left = (size - height) // 2, (size - width) // 2
    padded = np.zeros((count, channels, size, size), np.uint8)
    padded[:, :, top:top + height, left:left + width] = images.numpy()
    return padded
