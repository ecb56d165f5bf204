"""What the results of all tasks have in common: they draw themselves."""

from __future__ import annotations

import abc
from pathlib import Path

import cv2
import numpy as np

from mmext.errors import UserError
from mmext.files import write_bytes

QUALITY = 92  # of JPEG files, up to 100


class Result(abc.ABC):
    """The result of a model for an image or a video."""

    @abc.abstractmethod
    def draw(self) -> np.ndarray:
        """Draws the result: RGB, uint8, (height, width, 3)."""

    @abc.abstractmethod
    def as_json(self) -> dict:
        """The result as a dict for JSON."""

    def save(self, path: str | Path) -> None:
        """Writes the drawing as an image, in the format of the file's suffix.

        Raises:
            UserError: The suffix is not that of an image format, or the file can't be written.
        """
        write_picture(path, self.draw())


def write_picture(path: str | Path, image: np.ndarray) -> None:
    """Writes an RGB image, uint8, (height, width, 3), completely or not at all, in the format of the file's suffix.

    Raises:
        UserError: The suffix is not that of an image format, or the file can't be written.
    """
    try:
        encoded = cv2.imencode(Path(path).suffix, image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
    except cv2.error:
        raise UserError(f'{path}: need a name that ends with .jpg or .png') from None
    write_bytes(path, encoded.tobytes())
