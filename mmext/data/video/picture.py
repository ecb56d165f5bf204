"""From a decoded frame to an array: colours, size and orientation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter


@dataclass(frozen=True)
class Orientation:
    """One of the eight ways to hold a picture: perhaps transposed, then perhaps mirrored in x and y."""

    transposed: bool = False
    mirror_x: bool = False
    mirror_y: bool = False

    @classmethod
    def of(cls, matrix: bytes | None) -> Orientation:
        """From a display matrix, as phones write it: nine int32 a b u c d v x y w, x' = a x + c y, y' = b x + d y.

        Angles between are rounded to a right one.
        """
        if matrix is None:
            return cls()
        a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].tolist()
        if abs(a) + abs(d) >= abs(b) + abs(c):
            return cls(False, a < 0, d < 0)
        return cls(True, c < 0, b < 0)

    def apply(self, image: np.ndarray) -> np.ndarray:
        """An image (height, width, 3) as it is to be seen; a view of it."""
        image = image.transpose(1, 0, 2) if self.transposed else image
        return image[::-1 if self.mirror_y else 1, ::-1 if self.mirror_x else 1]


class Pictures:
    """Converts the frames of one video.

    Args:
        width, height: of the video as coded; a frame of another size, as some streams have, is resized to it.
        short_side: of the pictures, in pixels; None leaves the size as it is.

    Attributes:
        orientation: of the last frame; None before the first.
    """

    def __init__(self, width: int, height: int, short_side: int | None = None) -> None:
        scale = short_side / min(width, height) if short_side else 1
        self.width, self.height = max(round(width * scale), 1), max(round(height * scale), 1)
        self.orientation: Orientation | None = None
        self.reformatter = VideoReformatter()

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the pictures."""
        transposed = self.orientation is not None and self.orientation.transposed
        return (self.width, self.height) if transposed else (self.height, self.width)

    def convert(self, frame: VideoFrame) -> np.ndarray:
        """A frame -> RGB, uint8, (height, width, 3), contiguous."""
        matrix = frame.side_data.get('DISPLAYMATRIX')
        self.orientation = Orientation.of(None if matrix is None else bytes(matrix))
        # One thread: starting threads for a frame takes longer than its conversion.
        picture = self.reformatter.reformat(frame, self.width, self.height, 'rgb24', threads=1,
                                            interpolation=Interpolation.BILINEAR)
        return np.ascontiguousarray(self.orientation.apply(picture.to_ndarray()))
