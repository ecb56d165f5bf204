"""Smaller copies of videos, and their frames as images; each whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from mmext.data.video.container import VideoError, errors_of, whole_pictures
from mmext.data.video.index import packets_of, truncated
from mmext.data.video.picture import Pictures
from mmext.data.video.reader import VideoReader
from mmext.files import write_whole

X264 = {'preset': 'fast', 'crf': '20'}
VP9 = {'deadline': 'good', 'cpu-used': '5', 'crf': '26', 'b': '0'}
ENCODERS = {  # suffix -> container, codec, options
    '.mp4': ('mp4', 'libx264', X264), '.m4v': ('mp4', 'libx264', X264), '.mov': ('mov', 'libx264', X264),
    '.mkv': ('matroska', 'libx264', X264), '.webm': ('webm', 'libvpx-vp9', VP9),
    '.avi': ('avi', 'libx264', X264 | {'bf': '0'}),  # AVI has no times of showing, which B-frames need
}
KEY_EVERY = 32  # frames, so that a clip from the middle is soon decoded
JPEG_QUALITY = 95
IMAGE = 'img_{:05}.jpg'  # mmaction2's names, counted from 1
DONE, COPIED, THERE, MISSING, UNREADABLE = KINDS = 'done', 'copied', 'there already', 'missing', 'unreadable'


@dataclass(frozen=True)
class Conversion:
    """A video, where it goes, and the short side in pixels that it shall have, if it is larger."""

    source: str
    target: str
    short_side: int | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a video: its kind, how many frames it has, and why it is unreadable."""

    kind: str
    frames: int = 0
    reason: str = ''

    @property
    def bad(self) -> bool:
        return self.kind in (MISSING, UNREADABLE)


class EvenPictures(Pictures):
    """Pictures with even sides, as yuv420p has them; arguments as of ``Pictures``."""

    def __init__(self, width: int, height: int, short_side: int) -> None:
        super().__init__(width, height, short_side)
        half = short_side / min(width, height) / 2
        self.width, self.height = 2 * round(width * half), 2 * round(height * half)


def decode_through(reader: VideoReader) -> Iterator[VideoFrame]:
    """Every frame of a file in order; the reader can be used again afterwards.

    Raises:
        VideoError: one is damaged, or there are not as many as the file's index has.
    """
    number = 0
    reader.restart(strict=False)
    with errors_of(reader.path):
        for frame in whole_pictures(reader.container, reader.stream, reader.path):
            number += 1
            yield frame
    if number != len(reader):
        raise truncated(reader.path, len(reader), number)


def is_made(job: Conversion) -> bool:
    """Whether the target is there, and no older than the video."""
    return os.path.exists(job.target) and os.path.getmtime(job.target) >= os.path.getmtime(job.source)


def resize(job: Conversion) -> Outcome:
    """Writes a smaller copy of a video, upright, without sound; one that is small already is copied as it is.

    The frames stay, and their times from the first one on. The container is that of the suffix, the codec H.264, in
    webm VP9; sides are even.
    """
    if is_made(job):
        return Outcome(THERE)
    target = Path(job.target)
    try:
        with VideoReader(job.source) as reader:
            if min(reader.size) <= job.short_side:
                write_whole(target, lambda path: shutil.copy2(job.source, path))
                return Outcome(COPIED, len(reader))
            if target.suffix.lower() not in ENCODERS:
                return Outcome(UNREADABLE, 0, f"{target.suffix} can't be written, only {', '.join(ENCODERS)}")
            write_whole(target, lambda path: encode(reader, path, target.suffix.lower(), job.short_side))
            return Outcome(DONE, len(reader))
    except VideoError as error:
        return Outcome(UNREADABLE, 0, error.reason)


def encode(reader: VideoReader, path: Path, suffix: str, short_side: int) -> None:
    """Encodes a video anew into a file."""
    container, codec, options = ENCODERS[suffix]
    pictures = EvenPictures(reader.pictures.width, reader.pictures.height, short_side)
    colours, time_base = VideoReformatter(), reader.stream.time_base
    rate = reader.stream.average_rate or reader.stream.guessed_rate or 25
    times = sorted_times(reader) if reader.index is None else []
    first = last = None
    with av.open(str(path), 'w', format=container) as written:
        for number, frame in enumerate(decode_through(reader)):
            image = pictures.convert(frame)
            if first is None:
                stream = written.add_stream(codec, rate, options)
                stream.height, stream.width = image.shape[:2]
                stream.pix_fmt = 'yuv420p'
                stream.codec_context.gop_size = KEY_EVERY
                stream.codec_context.thread_count = 1
                stream.time_base = stream.codec_context.time_base = time_base
            time = times[number] if times else frame.pts
            time = round(number / rate / time_base) if time is None else time
            first = time if first is None else first
            last = time - first if last is None else max(time - first, last + 1)
            picture = colours.reformat(VideoFrame.from_ndarray(image), format='yuv420p', threads=1)
            picture.pts, picture.time_base, picture.duration = last, time_base, frame.duration
            written.mux(stream.encode(picture))
        written.mux(stream.encode())


def sorted_times(reader: VideoReader) -> list[int]:
    """The frames' times where the packets have them, but not each its own, as in AVI; empty where there are too few."""
    reader.restart()
    times = {packet.pts for packet in packets_of(reader.container, reader.stream)} - {None}
    return sorted(times) if len(times) == len(reader) else []


def take_apart(job: Conversion) -> Outcome:
    """Writes a video's frames into the folder ``target``: img_00001.jpg, img_00002.jpg ..."""
    target = Path(job.target)
    if is_made(job):
        return Outcome(THERE, sum(name.endswith('.jpg') for name in os.listdir(target)))
    temporary = target.with_name(f'.{target.name}.part')
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        with VideoReader(job.source) as reader:
            pictures = reader.pictures
            if job.short_side and min(pictures.size) > job.short_side:
                pictures = Pictures(pictures.width, pictures.height, job.short_side)
            temporary.mkdir(parents=True)
            for number, frame in enumerate(decode_through(reader), 1):
                image = cv2.cvtColor(pictures.convert(frame), cv2.COLOR_RGB2BGR)
                content = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
                (temporary / IMAGE.format(number)).write_bytes(content)
            if target.exists():
                shutil.rmtree(target)
            os.replace(temporary, target)
            return Outcome(DONE, len(reader))
    except VideoError as error:
        return Outcome(UNREADABLE, 0, error.reason)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
