"""Conversion of a decoded frame to an array: colours, size and orientation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter


@dataclass(frozen=True)
class Orientation:
    """One of the eight orientations of a picture: transposed or not, then mirrored in x and y or not."""

    transposed: bool = False
    mirror_x: bool = False
    mirror_y: bool = False

    @classmethod
    def of(cls, matrix: bytes | None) -> Orientation:
        """The orientation in a display matrix, as phones write it; angles are rounded to a multiple of 90 degrees.

        Args:
            matrix: nine int32 a b u c d v x y w, where x' = a x + c y and y' = b x + d y; None is upright.
        """
        if matrix is None:
            return cls()
        a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].tolist()
        if abs(a) + abs(d) >= abs(b) + abs(c):
            return cls(False, a < 0, d < 0)
        return cls(True, c < 0, b < 0)

    def apply(self, image: np.ndarray) -> np.ndarray:
        """Turns an image (height, width, 3) upright; the result is a view of it."""
        image = image.transpose(1, 0, 2) if self.transposed else image
        return image[::-1 if self.mirror_y else 1, ::-1 if self.mirror_x else 1]


class Pictures:
    """Converts the frames of one video to arrays of one size.

    Args:
        width, height: of the video as coded, in pixels; frames of another size, which some streams have, are resized.
        short_side: of the arrays, in pixels; None keeps the size.

    Attributes:
        width, height: of the arrays before rotation, in pixels.
        orientation: of the last frame; None before the first.
    """

    def __init__(self, width: int, height: int, short_side: int | None = None) -> None:
        scale = short_side / min(width, height) if short_side else 1
        self.width, self.height = max(round(width * scale), 1), max(round(height * scale), 1)
        self.orientation: Orientation | None = None
        self.reformatter = VideoReformatter()

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the arrays, in pixels."""
        transposed = self.orientation is not None and self.orientation.transposed
        return (self.width, self.height) if transposed else (self.height, self.width)

    def convert(self, frame: VideoFrame) -> np.ndarray:
        """Converts a frame to RGB, uint8, (height, width, 3), contiguous in memory and upright."""
        matrix = frame.side_data.get('DISPLAYMATRIX')
        self.orientation = Orientation.of(None if matrix is None else bytes(matrix))
        # One thread, as starting threads takes longer than converting a frame.
        picture = self.reformatter.reformat(frame, self.width, self.height, 'rgb24', threads=1,
                                            interpolation=Interpolation.BILINEAR)
        return np.ascontiguousarray(self.orientation.apply(picture.to_ndarray()))
