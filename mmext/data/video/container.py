"""Opening of video files, and the error that says why one can't be read."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

import av
import av.error
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from mmext.data.limits import most_pixels, why_too_large
from mmext.errors import UserError, reason

PICTURES = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
# PyAV decodes the first frames of a file while it opens it; mostly the headers alone tell the same.
LOOK_AT_HEADERS = {'skip_frame': 'all'}
# What PyAV's Python code, or numpy after it, may raise for values that no valid file has.
NONSENSE = (ValueError, TypeError, ArithmeticError, LookupError, AssertionError, RuntimeError, MemoryError)
DAMAGED = 'not a video, or damaged'
UNMARKED = ('hevc', )  # codecs whose decoder does not mark damaged frames, and leaves old memory in them
TEXT_FORMATS = ('tty', )  # ffmpeg draws a text file as a video of letters


class VideoError(UserError):
    """A video that can't be read.

    Args:
        path: of the file; without a reason, the whole message.
        reason: why it can't be read.

    Attributes:
        reason: as given, or ''; the message names the file, too.
    """

    def __init__(self, path: str, reason: str | None = None) -> None:
        super().__init__(path if reason is None else f'{path}: unreadable video ({reason})')
        self.reason = reason or ''


@contextmanager
def errors_of(path: str) -> Iterator[None]:
    """Turns whatever PyAV raises into a VideoError of one line that names the file."""
    try:
        yield
    except (av.error.InvalidDataError, av.error.EOFError):
        raise VideoError(path, DAMAGED) from None
    except (av.error.FFmpegError, OSError) as error:
        cut = error.errno == errno.EIO  # what Matroska's demuxer reports for a file that ends within an element
        raise VideoError(path, 'truncated, or it can\'t be read' if cut else error.strerror or str(error)) from None
    except NONSENSE as error:
        raise VideoError(path, f'{DAMAGED} ({reason(error)})') from None


def whole_pictures(container: InputContainer, stream: VideoStream, path: str) -> Iterator[VideoFrame]:
    """Decodes frames from the container's current position on.

    Raises:
        VideoError: at the first frame that the decoder marks as damaged.
    """
    for number, picture in enumerate(container.decode(stream), 1):
        if picture.is_corrupt:
            raise VideoError(path, f'frame {number} is damaged')
        yield picture


def limits() -> dict[str, str]:
    """Codec options that limit the number of pixels, as a frame may be larger than its stream's header says."""
    return {'max_pixels': str(most_pixels())}


def open_streams(path: str, options: dict[str, str]) -> tuple[InputContainer, list[VideoStream]]:
    """Opens a container with these codec options; its video streams do not include cover pictures and thumbnails."""
    container = av.open(path, options=options, metadata_errors='replace')
    return container, [stream for stream in container.streams.video if not stream.disposition & PICTURES]


def open_video(path: str, threads: int = 1, strict: bool = False) -> tuple[InputContainer, VideoStream]:
    """Opens a file and its first video stream.

    Args:
        path: of the file.
        threads: of the decoder; 0 uses all cores.
        strict: the decoder raises an error also for small errors that it would conceal silently.

    Raises:
        VideoError: the file is missing, a folder, empty, not a video or without a video stream, or its frames have
            more pixels than ``limits.most_pixels``.
    """
    if not os.path.exists(path):
        raise VideoError(path, 'no such file')
    if os.path.isdir(path):
        raise VideoError(path, 'a folder')
    if not os.path.getsize(path):
        raise VideoError(path, 'empty file')
    with errors_of(path):
        container, streams = open_streams(path, LOOK_AT_HEADERS)
        if streams and streams[0].codec_context and not streams[0].codec_context.width:
            container.close()
            container, streams = open_streams(path, limits())
    if not streams or container.format.name in TEXT_FORMATS:
        kinds = sorted({stream.type for stream in container.streams}) if not streams else []
        container.close()
        raise VideoError(path, f'no video stream, only {" and ".join(kinds)}' if kinds else DAMAGED)
    stream = streams[0]
    if stream.codec_context is None:
        container.close()
        raise VideoError(path, 'its codec is not supported')
    too_large = why_too_large(stream.codec_context.width, stream.codec_context.height)
    if too_large:
        container.close()
        raise VideoError(path, too_large)
    explode = strict or stream.codec_context.name in UNMARKED
    stream.codec_context.options = {**limits(), **({'err_detect': 'explode'} if explode else {})}
    stream.codec_context.thread_count = threads
    stream.codec_context.thread_type = 'AUTO' if threads != 1 else 'NONE'
    return container, stream
