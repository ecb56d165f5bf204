"""Reading and writing of videos frame by frame from start to end, in memory that does not grow with their length."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from mmext.data.video.container import VideoError, errors_of, open_video, whole_pictures
from mmext.data.video.index import Unordered, read_index, truncated
from mmext.data.video.picture import Pictures

CODEC = 'libx264'
OPTIONS = {'preset': 'veryfast', 'crf': '20'}
DEFAULT_RATE = Fraction(25)
MAX_DENOMINATOR = 1 << 16  # of a frame rate
MAX_TICKS = 1 << 20  # a second


@dataclass(frozen=True)
class Frame:
    """One frame of a video.

    Args:
        image: RGB, uint8, (height, width, 3).
        time: when it is shown, in seconds from the first frame.
    """

    image: np.ndarray
    time: Fraction


class FrameReader:
    """Iterates over a video's frames, which are turned upright.

    Args:
        path: of the file.

    Attributes:
        rate: mean frames per second.
        expected: number of frames according to the file's header; None where it has none.

    Raises:
        VideoError: the file can't be opened; while iterating: a frame can't be decoded, or the file ends before its
            header says, after all frames before that have been yielded.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        # One thread: with several, a damaged frame is now and then returned as a valid one.
        self.container, self.stream = open_video(self.path)
        rate = self.stream.average_rate or self.stream.guessed_rate
        self.rate = Fraction(rate).limit_denominator(MAX_DENOMINATOR) if rate else DEFAULT_RATE
        self.expected = self.stream.frames or None

    def __iter__(self) -> Iterator[Frame]:
        codec = self.stream.codec_context
        pictures = Pictures(codec.width, codec.height)
        first: Fraction | None = None
        last: Fraction | None = None
        shape, count = None, 0
        has_times = self.container.format.name != 'avi'  # PyAV guesses them, wrongly where frames are reordered
        with errors_of(self.path), self.container:
            for count, picture in enumerate(whole_pictures(self.container, self.stream, self.path), 1):
                shown = None
                if has_times and picture.pts is not None and picture.time_base is not None:
                    shown = picture.pts * Fraction(picture.time_base)
                first = shown if first is None else first
                time = Fraction(0) if last is None else last + 1 / self.rate
                if shown is not None and first is not None and last is not None and shown - first > last:
                    time = shown - first
                last = time
                image = pictures.convert(picture)
                shape = shape or image.shape
                if image.shape != shape:
                    raise VideoError(self.path, f'its orientation changes at frame {count}')
                yield Frame(image, time)
        self.require_whole(count)

    def require_whole(self, frames: int) -> None:
        """Compares the number of decoded frames with the index, as a truncated file may decode without an error.

        Raises:
            VideoError: the file is truncated, or has no frames.
        """
        if not frames:
            raise VideoError(self.path, 'no frames')
        container, stream = open_video(self.path)
        with errors_of(self.path), container:
            try:
                index = read_index(container, stream, self.path)
            except Unordered:
                return  # its packets do not show how many frames there should be
        if frames < index.frames:
            raise truncated(self.path, index.frames, frames)


class FrameWriter:
    """Writes frames as H.264 in mp4, without sound; a context manager, at whose exit the file is complete.

    Frames keep their times. Sides of odd length, which most players can't show, are extended by repeating their last
    row or column.

    Args:
        path: of the file, whatever its suffix.
        rate: mean frames per second.
    """

    def __init__(self, path: str | Path, rate: Fraction) -> None:
        self.container = av.open(str(path), 'w', format='mp4', options={'movflags': 'faststart'})
        self.stream = self.container.add_stream(CODEC, rate=rate, options=OPTIONS)
        self.stream.pix_fmt = 'yuv420p'
        parts = max(1, min(round(1000 / rate), MAX_TICKS // rate.numerator))
        self.tick = Fraction(1, rate.numerator * parts)  # a frame lasts a whole number of them
        self.last = -1
        self.begun = False

    def __enter__(self) -> FrameWriter:
        return self

    def __exit__(self, *_: object) -> None:
        if self.begun:
            self.container.mux(self.stream.encode())
        self.container.close()

    def write(self, frame: Frame) -> None:
        """Appends a frame, which must be later than the ones before and have their size."""
        height, width = frame.image.shape[:2]
        if not self.begun:
            self.begun = True
            self.stream.height, self.stream.width = height + height % 2, width + width % 2
            self.stream.codec_context.time_base = self.tick
        image = np.pad(frame.image, ((0, height % 2), (0, width % 2), (0, 0)), 'edge')
        picture = av.VideoFrame.from_ndarray(image, format='rgb24')
        self.last = max(round(frame.time / self.tick), self.last + 1)
        picture.pts, picture.time_base = self.last, self.tick
        self.container.mux(self.stream.encode(picture))
