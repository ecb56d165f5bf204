"""Loading of images of which some can't be read."""

from __future__ import annotations

import io
import os

import mmcv
import numpy as np
from mmcv.transforms import BaseTransform
from mmengine import fileio
from PIL import Image

from mmext.errors import UserError
from mmext.registry import TRANSFORMS

JPEG_START, JPEG_END = b'\xff\xd8', b'\xff\xd9'
JPEG_TAIL = 4096


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Reads ``img_path`` into ``img``, a BGR array (H, W, 3) of uint8.

    Args:
        on_error: what a missing, truncated or undecodable file means: 'skip' (the data set draws another one, as in
            training), 'raise', or 'blank' (a black image of the annotated size, so that its objects count as missed).
        log_file: where skipped and blank files are noted, a line each: path, tab, reason. Safe for many processes.
        backend_args: of mmengine's file backends.

    Raises:
        UserError: with 'raise', naming the file.
    """

    def __init__(self, on_error: str = 'raise', log_file: str | None = None, backend_args: dict | None = None) -> None:
        if on_error not in ('skip', 'raise', 'blank'):
            raise UserError(f"LoadImage: on_error={on_error!r} is none of 'skip', 'raise', 'blank'")
        self.on_error = on_error
        self.log_file = log_file
        self.backend_args = backend_args

    def transform(self, results: dict) -> dict | None:
        """Adds img, img_shape and ori_shape (height, width); None for a file to be skipped."""
        path = results['img_path']
        try:
            image = decode(fileio.get(path, backend_args=self.backend_args))
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            if self.on_error == 'raise':
                raise UserError(f'{path}: unreadable image ({reason}); mend or remove it, or give --skip-unreadable '
                                'to tools/test.py') from None
            self.note(path, reason)
            if self.on_error == 'skip':
                return None
            image = np.zeros((results['height'], results['width'], 3), np.uint8)
        results.update(img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2])
        return results

    def note(self, path: str, reason: str) -> None:
        if self.log_file:
            with open(self.log_file, 'a') as log:
                log.write(f'{path}\t{" ".join(reason.split())}\n')


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


def read_log(path: str | os.PathLike) -> dict[str, str]:
    """The noted files and their reasons; empty where nothing was noted."""
    if not os.path.exists(path):
        return {}
    with open(path) as log:
        return dict(line.rstrip('\n').split('\t', 1) for line in log if '\t' in line)
