"""Smaller copies of videos, and their frames as images; a result is written completely or not at all."""

from __future__ import annotations

import os
import shutil
import stat
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
    '.avi': ('avi', 'libx264', X264 | {'bf': '0'}),  # AVI has no presentation times, which B-frames need
}
KEY_EVERY = 32  # frames, so that decoding a clip from the middle starts close to it
JPEG_QUALITY = 95
IMAGE = 'img_{:05}.jpg'  # mmaction2's names, counted from 1
DONE, COPIED, THERE, MISSING, UNREADABLE = KINDS = 'done', 'copied', 'there already', 'missing', 'unreadable'


@dataclass(frozen=True)
class Conversion:
    """One video to convert.

    Args:
        source: path of the video.
        target: path of the result.
        short_side: of the result, in pixels; smaller videos keep their size, and with None all do.
    """

    source: str
    target: str
    short_side: int | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a video.

    Args:
        kind: one of ``KINDS``.
        frames: number of frames; 0 where it is not known.
        reason: why the video is unreadable, or ''.
    """

    kind: str
    frames: int = 0
    reason: str = ''

    @property
    def failed(self) -> bool:
        """Whether there is no result, as the video is missing or unreadable."""
        return self.kind in (MISSING, UNREADABLE)


class EvenPictures(Pictures):
    """Pictures whose sides are even, as yuv420p requires; the arguments are those of ``Pictures``."""

    def __init__(self, width: int, height: int, short_side: int) -> None:
        super().__init__(width, height, short_side)
        half = short_side / min(width, height) / 2
        self.width, self.height = 2 * round(width * half), 2 * round(height * half)


def decode_all(reader: VideoReader) -> Iterator[VideoFrame]:
    """Decodes every frame of a file in order; the reader can be used again afterwards.

    Raises:
        VideoError: a frame is damaged, or the number of frames differs from that in the file's index.
    """
    number = 0
    reader.restart(strict=False)
    with errors_of(reader.path):
        for frame in whole_pictures(reader.container, reader.stream, reader.path):
            number += 1
            yield frame
    if number != len(reader):
        raise truncated(reader.path, len(reader), number)


def outcome_if_made(job: Conversion) -> Outcome | None:
    """The outcome of a conversion whose result exists and is no older than the video; None where it has to be made."""
    try:
        made = os.stat(job.target)
        if made.st_mtime < os.stat(job.source).st_mtime:
            return None
        frames = sum(name.endswith('.jpg') for name in os.listdir(job.target)) if stat.S_ISDIR(made.st_mode) else 0
    except OSError:
        return None
    return Outcome(THERE, frames)


def resize(job: Conversion) -> Outcome:
    """Writes a smaller copy of a video, upright and without sound; a video that is small already is copied as it is.

    The copy has the same frames at the same times, counted from the first frame. Its suffix decides the container; the
    codec is H.264, in WebM VP9. Its sides are even numbers of pixels.
    """
    made = outcome_if_made(job)
    if made:
        return made
    target, short_side = Path(job.target), job.short_side
    try:
        with VideoReader(job.source) as reader:
            if short_side is None or min(reader.size) <= short_side:
                write_whole(target, lambda path: shutil.copy2(job.source, path))
                return Outcome(COPIED, len(reader))
            if target.suffix.lower() not in ENCODERS:
                return Outcome(UNREADABLE, 0, f"{target.suffix} can't be written, only {', '.join(ENCODERS)}")
            write_whole(target, lambda path: encode(reader, path, target.suffix.lower(), short_side))
            return Outcome(DONE, len(reader))
    except VideoError as error:
        return Outcome(UNREADABLE, 0, error.reason)


def encode(reader: VideoReader, path: Path, suffix: str, short_side: int) -> None:
    """Encodes a video into a file.

    Args:
        reader: of the video.
        path: of the file to write.
        suffix: a key of ``ENCODERS``, whatever the suffix of ``path``.
        short_side: of the written video, in pixels.
    """
    container, codec, options = ENCODERS[suffix]
    pictures = EvenPictures(reader.pictures.width, reader.pictures.height, short_side)
    colours, time_base = VideoReformatter(), reader.stream.time_base
    assert time_base is not None, 'of a stream whose frames have been indexed'
    rate = reader.stream.average_rate or reader.stream.guessed_rate or 25
    times = sorted_times(reader) if reader.index is None else []
    first = last = None
    with av.open(str(path), 'w', format=container) as written:
        for number, frame in enumerate(decode_all(reader)):
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
    """Presentation times in ascending order, for files whose packets have them in a wrong order, as in AVI.

    Empty where there are fewer or more distinct times than frames.
    """
    reader.restart()
    times = {packet.pts for packet in packets_of(reader.container, reader.stream) if packet.pts is not None}
    return sorted(times) if len(times) == len(reader) else []


def extract_frames(job: Conversion) -> Outcome:
    """Writes a video's frames into the folder ``target`` as img_00001.jpg, img_00002.jpg ..."""
    made = outcome_if_made(job)
    if made:
        return made
    target = Path(job.target)
    temporary = target.with_name(f'.{target.name}.part')
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        with VideoReader(job.source) as reader:
            pictures = reader.pictures
            if job.short_side and min(pictures.size) > job.short_side:
                pictures = Pictures(pictures.width, pictures.height, job.short_side)
            temporary.mkdir(parents=True)
            for number, frame in enumerate(decode_all(reader), 1):
                image = cv2.cvtColor(pictures.convert(frame), cv2.COLOR_RGB2BGR)
                content = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
                (temporary / IMAGE.format(number)).write_bytes(content.tobytes())
            if target.exists():
                shutil.rmtree(target)
            os.replace(temporary, target)
            return Outcome(DONE, len(reader))
    except VideoError as error:
        return Outcome(UNREADABLE, 0, error.reason)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
