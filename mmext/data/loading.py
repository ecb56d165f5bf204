"""The pipeline step that loads images, some of which can't be read or have another size than annotated."""

from __future__ import annotations

import numpy as np
from mmengine import fileio

from mmext.data.decoding import NoImage, decode
from mmext.data.limits import why_too_large
from mmext.data.sizes import agree, disagreement
from mmext.data.unreadable import Reader
from mmext.errors import UserError, cause
from mmext.registry import TRANSFORMS

BLANK_SIZE = (256, 256)
ENOUGH = 20  # images; the share of fewer means nothing


@TRANSFORMS.register_module()
class LoadImage(Reader):
    """Reads ``img_path`` into ``img``, BGR, uint8, (height, width, 3), as a viewer shows it (see ``decode``).

    Where the annotations give the image's height and width, the file must have that size, within one pixel; otherwise
    boxes would not match their objects. An image of another size is treated as one that can't be read.

    Args:
        on_error, log_file: see ``Reader``; a blank image has the annotated size, so that its objects count as missed.
        backend_args: of mmengine's file backends.
        ignore_orientation: keep pixels as they are stored, whatever EXIF's orientation is; for annotations made with a
            tool that ignores EXIF.
        bits: the number of bits in use of a 16-bit image; by default see ``decode``.
        max_mismatched: the share, from 0 to 1, of images of another size than annotated above which the run stops.

    Raises:
        UserError: with on_error='raise', a file is missing, truncated, can't be decoded or has another size; otherwise,
            too many images have another size.
    """

    def __init__(self, on_error: str = 'raise', log_file: str | None = None, backend_args: dict | None = None,
                 ignore_orientation: bool = False, bits: int | None = None, max_mismatched: float = 0.1) -> None:
        super().__init__(on_error, log_file)
        if bits not in (None, *range(8, 17)):
            raise UserError(f'LoadImage: bits={bits!r} is not a number from 8 to 16')
        if isinstance(max_mismatched, bool) or not isinstance(max_mismatched, (int, float)) \
                or not 0 <= max_mismatched <= 1:
            raise UserError(f'LoadImage: max_mismatched={max_mismatched!r} is not a share from 0 to 1')
        self.backend_args = backend_args
        self.ignore_orientation = ignore_orientation
        self.bits = bits
        self.max_mismatched = max_mismatched
        self.compared = self.mismatched = 0

    def transform(self, results: dict) -> dict | None:
        """Adds img, and img_shape and ori_shape, both (height, width); returns None for an image to be skipped."""
        path = results['img_path']
        try:
            image = self.read(results)
        except (OSError, NoImage, Mismatch) as error:
            reason = cause(error)
            problem = reason if isinstance(error, Mismatch) else f'unreadable image ({reason})'
            self.reject(f'{path}: {problem}', path, reason)
            if self.on_error == 'skip':
                return None
            size = [round(results.get(key, side)) for key, side in zip(('height', 'width'), BLANK_SIZE)]
            size = BLANK_SIZE if why_too_large(*size) else size
            image = np.zeros((*size, 3), np.uint8)
        results.update(img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2])
        return results

    def read(self, results: dict) -> np.ndarray:
        """Reads the image of a data info: img_path, and height and width in pixels where they are annotated.

        Returns:
            BGR, uint8, (height, width, 3).

        Raises:
            OSError, NoImage: it can't be read.
            Mismatch: it has another size than annotated.
            UserError: too many images have.
        """
        content = fileio.get(results['img_path'], backend_args=self.backend_args)
        image = decode(content, ignore_orientation=self.ignore_orientation, bits=self.bits)
        if results.get('height') and results.get('width'):
            annotated = results['height'], results['width']
            self.compared += 1
            if not agree(annotated, image.shape[:2]):
                self.mismatched += 1
                reason = disagreement(annotated, image.shape[:2], content)
                self.require_few_mismatched(f'{results["img_path"]}: {reason}')
                raise Mismatch(reason)
        return image

    def require_few_mismatched(self, last: str) -> None:
        """Raises a UserError if too many images have another size; each worker process counts its own.

        Args:
            last: describes the last of these images.
        """
        if self.compared >= ENOUGH and self.mismatched > self.max_mismatched * self.compared:
            raise UserError(f'{last} (as {self.mismatched} of the {self.compared} images read so far, and more than '
                            f'{self.max_mismatched:.0%} stop a run: max_mismatched of mmext.LoadImage)')


class Mismatch(Exception):
    """An image has another size than its annotations say."""
