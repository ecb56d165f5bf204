"""Videos frame by frame, from start to end, in and out, in memory that does not grow with their length."""

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
USUAL_RATE = Fraction(25)
LONGEST_RATE = 1 << 16  # a frame rate's denominator
FINEST = 1 << 20  # ticks a second


@dataclass(frozen=True)
class Frame:
    """A picture of a video: RGB, uint8, (height, width, 3), and when it is shown, in seconds from the first."""

    image: np.ndarray
    time: Fraction


class FrameReader:
    """Iterates over a video's frames, turned as they are to be seen.

    Args:
        path: of the file.

    Attributes:
        rate: mean frames a second.
        expected: how many frames the file says it has; None where it does not say.

    Raises:
        VideoError: it can't be opened; while iterating: a frame can't be decoded, or the file ends before its header
            says. The frames until then have been given.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        # One thread: with several a damaged frame is now and then handed out as a good one.
        self.container, self.stream = open_video(self.path)
        rate = self.stream.average_rate or self.stream.guessed_rate
        self.rate = Fraction(rate).limit_denominator(LONGEST_RATE) if rate else USUAL_RATE
        self.expected = self.stream.frames or None

    def __iter__(self) -> Iterator[Frame]:
        codec = self.stream.codec_context
        pictures = Pictures(codec.width, codec.height)
        first, last, shape, count = None, None, None, 0
        has_times = self.container.format.name != 'avi'  # there they are guessed, wrongly where frames are reordered
        with errors_of(self.path), self.container:
            for count, picture in enumerate(whole_pictures(self.container, self.stream, self.path), 1):
                told = picture.pts * Fraction(picture.time_base) if has_times and picture.pts is not None else None
                first = told if first is None else first
                time = Fraction(0) if last is None else last + 1 / self.rate
                if told is not None and last is not None and told - first > last:
                    time = told - first
                last = time
                image = pictures.convert(picture)
                shape = shape or image.shape
                if image.shape != shape:
                    raise VideoError(self.path, f'turned on its side in frame {count}')
                yield Frame(image, time)
        self.require_whole(count)

    def require_whole(self, frames: int) -> None:
        """A file that was cut may decode to its end without a word.

        Raises:
            VideoError: this one does, or it has no frames.
        """
        if not frames:
            raise VideoError(self.path, 'no frames')
        container, stream = open_video(self.path)
        with errors_of(self.path), container:
            try:
                index = read_index(container, stream, self.path)
            except Unordered:
                return  # its packets do not tell
        if frames < index.frames:
            raise truncated(self.path, index.frames, frames)


class FrameWriter:
    """Writes frames as H.264 in mp4; used as a context, at whose end the file is whole.

    Frames keep their times. Sides of odd length, which most players can't show, get another row or column of the same
    pixels at their end. There is no sound.

    Args:
        path: of the file, whatever its suffix.
        rate: mean frames a second.
    """

    def __init__(self, path: str | Path, rate: Fraction) -> None:
        self.container = av.open(str(path), 'w', format='mp4', options={'movflags': 'faststart'})
        self.stream = self.container.add_stream(CODEC, rate=rate, options=OPTIONS)
        self.stream.pix_fmt = 'yuv420p'
        parts = max(1, min(round(1000 / rate), FINEST // rate.numerator))
        self.tick = Fraction(1, rate.numerator * parts)  # of which a frame lasts a whole number
        self.last = -1
        self.begun = False

    def __enter__(self) -> FrameWriter:
        return self

    def __exit__(self, *_: object) -> None:
        if self.begun:
            self.container.mux(self.stream.encode())
        self.container.close()

    def write(self, frame: Frame) -> None:
        """Adds a frame, later than those before it and of their size."""
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
