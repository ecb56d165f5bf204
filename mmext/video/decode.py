"""Frames of a video by their number, exact and without decoding more than they need."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice

import av
import numpy as np
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from mmext.data.video.container import VideoError, errors_of, open_video
from mmext.data.video.index import Unordered, packets_of, rank_in_passing, read_index, truncated
from mmext.data.video.picture import Pictures

__all__ = ['VideoError', 'VideoReader']
NOWHERE = -1


class VideoReader:
    """A video file, its frames at random.

    ``reader[i]`` and ``reader.get([i, j])`` are the frames that a decode of the whole file gives as number i and j,
    whatever their order in the file. Decoding starts at the last key frame before a wanted one, leaves out the frames
    between that no other refers to, and stops at the last wanted one.

    Args:
        path: of the file.
        threads: of the codec; 0 takes all cores.
        short_side: resize while converting, so that the shorter side has that many pixels.

    Attributes:
        fps: mean frames a second; 0.0 where the file does not say.
        size: (height, width) of the frames that it gives, after rotation and resizing.

    Raises:
        VideoError: missing, empty, not a video, no video stream, truncated, or no frames.
    """

    def __init__(self, path: str | os.PathLike, threads: int = 1, short_side: int | None = None) -> None:
        self.path = os.fspath(path)
        self.threads = threads
        self.container, self.stream = open_video(self.path, threads)
        self.fps = float(self.stream.average_rate or self.stream.guessed_rate or 0)
        try:
            with errors_of(self.path):
                self.index = read_index(self.container, self.stream, self.path)
            self.frames = self.index.frames
        except Unordered:
            self.index = None
            self.frames = self.count()
        except VideoError:
            self.close()
            raise
        codec = self.stream.codec_context
        self.pictures = Pictures(codec.width, codec.height, short_side)
        self.skips = leaves_out_exactly(codec)

    def __len__(self) -> int:
        return self.frames

    def __getitem__(self, frame: int) -> np.ndarray:
        return self.images([frame])[0]

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def size(self) -> tuple[int, int]:
        if self.pictures.orientation is None:  # it comes with the frames
            self.images([0])
        return self.pictures.size

    def close(self) -> None:
        """Closes the file; the reader can't be used any more."""
        self.container.close()

    def get(self, frames: Sequence[int]) -> np.ndarray:
        """Frames in the order asked for, RGB, uint8, (N, height, width, 3).

        Raises:
            IndexError: there is no such frame.
            VideoError: one can't be decoded.
        """
        return np.stack(self.images(frames))

    def images(self, frames: Sequence[int]) -> list[np.ndarray]:
        """As ``get``, a list of (height, width, 3); no two share memory."""
        frames = [int(frame) for frame in frames]
        outside = [frame for frame in frames if not 0 <= frame < self.frames]
        if outside:
            raise IndexError(f'{self.path}: no frame {outside[0]}, it has {self.frames}')
        with errors_of(self.path):
            found = self.by_key(set(frames)) if self.index else self.in_order(set(frames))
        fresh = dict(found)
        return [fresh.pop(frame) if frame in fresh else found[frame].copy() for frame in frames]

    def by_key(self, wanted: set[int]) -> dict[int, np.ndarray]:
        """Each frame from the key frame before it; where that fails, from earlier, at last from the start."""
        groups = defaultdict(set)
        for frame in wanted:
            groups[bisect_right(self.index.starts, frame) - 1].add(frame)
        found: dict[int, np.ndarray] = {}
        for key, group in sorted(groups.items()):
            for start in sorted({key, max(key - 1, 0), 0}, reverse=True):
                try:
                    found.update(self.decode_from(start, group - found.keys()))
                except (av.error.InvalidDataError, Unordered):
                    continue
                if group <= found.keys():
                    break
        missing = wanted - found.keys()
        return {**found, **self.in_order(missing)} if missing else found

    def decode_from(self, key: int, wanted: set[int]) -> dict[int, np.ndarray]:
        """Those of the wanted frames that decoding from a key packet gives."""
        packets = self.ranked(key)  # seeks, which empties the codec
        codec, names, left, found, first = self.stream.codec_context, {}, set(wanted), {}, None
        for packet, frame in packets:
            first = packet.pts if first is None else first
            needed = frame in left
            if needed:
                left.discard(frame)
                if packet.pts >= first:  # else it refers to what was before the key frame
                    names[packet.pts] = frame
            if self.skips:
                codec.skip_frame = 'DEFAULT' if needed else 'NONREF'
            self.take(packet.decode(), names, found)
            if not left:
                break
        self.take(codec.decode(None), names, found)
        return found

    def take(self, decoded: Iterable[VideoFrame], names: dict[int, int], found: dict[int, np.ndarray]) -> None:
        for picture in decoded:
            frame = names.get(picture.pts)
            if frame is not None and not picture.is_corrupt:
                found[frame] = self.pictures.convert(picture)

    def ranked(self, key: int) -> Iterator[tuple[Packet, int]]:
        """Seeks; packets from a key packet on, each with its frame."""
        packets, first = self.seek(key), self.index.keys[key]
        if self.index.ranks is None:
            return rank_in_passing(packets, first)
        return zip(packets, self.index.ranks[first:])

    def seek(self, key: int) -> Iterator[Packet]:
        """The packets from a key packet on. A seek may land before it or, in some files, after it."""
        first = self.index.keys[key]
        self.container.seek(self.index.times[key], stream=self.stream)
        packets = packets_of(self.container, self.stream)
        for packet in packets:
            place = self.index.places.get(packet.pos, NOWHERE)
            if place == first:
                return chain([packet], packets)
            if place > first:
                break
        self.restart()
        return islice(packets_of(self.container, self.stream), first, None)

    def restart(self) -> None:
        """Opens the file anew, which leads to its first packet where a seek may not."""
        self.container.close()
        self.container, self.stream = open_video(self.path, self.threads)

    def in_order(self, wanted: set[int]) -> dict[int, np.ndarray]:
        """The frames by counting a decode from the start.

        Raises:
            VideoError: there are fewer.
        """
        found: dict[int, np.ndarray] = {}
        self.restart()
        decoded = 0
        for decoded, picture in enumerate(self.container.decode(self.stream), 1):
            if decoded - 1 in wanted:
                found[decoded - 1] = self.pictures.convert(picture)
                if len(found) == len(wanted):
                    return found
        raise truncated(self.path, self.frames, decoded)

    def count(self) -> int:
        """How many frames a decode of the whole file gives; for files whose packets do not tell."""
        with errors_of(self.path):
            self.restart()
            frames = sum(1 for _ in self.container.decode(self.stream))
        if not frames:
            raise VideoError(self.path, 'no frames')
        return frames


def leaves_out_exactly(codec: VideoCodecContext) -> bool:
    """Whether frames that no other refers to can be left out without a change to any other.

    H.264, MPEG-2 and MPEG-4 mark them. HEVC marks what no frame of the same temporal layer refers to (H.265, 3.152), so
    it must have one layer, which the header of mp4 and mkv tells (ISO/IEC 14496-15, 8.3.3.1).
    """
    if codec.name == 'hevc':
        header = codec.extradata or b''
        return len(header) > 21 and header[0] == 1 and header[21] >> 3 & 7 == 1
    return codec.name in ('h264', 'mpeg2video', 'mpeg4')
