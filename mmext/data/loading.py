"""Loading of images of which some can't be read."""

from __future__ import annotations

import io

import mmcv
import numpy as np
from mmengine import fileio
from PIL import Image

from mmext.data.unreadable import Reader
from mmext.registry import TRANSFORMS

JPEG_START, JPEG_END = b'\xff\xd8', b'\xff\xd9'
JPEG_TAIL = 4096


@TRANSFORMS.register_module()
class LoadImage(Reader):
    """Reads ``img_path`` into ``img``, a BGR array (H, W, 3) of uint8.

    Args:
        on_error, log_file: see ``Reader``; a blank image has the annotated size, so that its objects count as missed.
        backend_args: of mmengine's file backends.

    Raises:
        UserError: with 'raise', naming a file that is missing, truncated or can't be decoded.
    """

    def __init__(self, on_error: str = 'raise', log_file: str | None = None, backend_args: dict | None = None) -> None:
        super().__init__(on_error, log_file)
        self.backend_args = backend_args

    def transform(self, results: dict) -> dict | None:
        """Adds img, img_shape and ori_shape (height, width); None for a file to be skipped."""
        path = results['img_path']
        try:
            image = decode(fileio.get(path, backend_args=self.backend_args))
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            self.refuse(f'{path}: unreadable image ({reason})', path, reason)
            if self.on_error == 'skip':
                return None
            image = np.zeros((results['height'], results['width'], 3), np.uint8)
        results.update(img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2])
        return results


def decode(content: bytes) -> np.ndarray:
    """An image file's bytes -> a BGR array (H, W, 3).

    OpenCV decodes; it may fill a truncated JPEG with grey and say nothing, so a JPEG without an end is read again by
    Pillow, which is strict.

    Raises:
        OSError, ValueError: the bytes are no image, or not a whole one.
    """
    if content.startswith(JPEG_START) and JPEG_END not in content[-JPEG_TAIL:]:
        Image.open(io.BytesIO(content)).load()
    image = mmcv.imfrombytes(content) if content else None
    if image is None:
        raise ValueError('not an image' if content else 'empty file')
    return image
