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
from av.video.frame import VideoFrame

from mmext.data.video.container import VideoError, errors_of, open_video, whole_pictures
from mmext.data.video.index import Unordered, packets_of, rank_in_passing, read_index, truncated
from mmext.data.video.picture import Pictures

NOWHERE = -1
# Codecs whose decoders, beginning at a key frame of a damaged file, may give other pictures than in a whole decode and
# say nothing: a picture after an open key frame of HEVC may refer to one before it; MPEG's conceal small faults.
DOUBTFUL = ('hevc', 'mpeg1video', 'mpeg2video', 'mpeg4')


class Damaged(Exception):
    """The decoder marks a frame as damaged, or frames are missing or in another order than their times."""


class VideoReader:
    """A video file, its frames at random.

    ``reader[i]`` and ``reader.get([i, j])`` are the frames that a decode of the whole file gives as number i and j,
    whatever their order in the file. Decoding starts at the last key frame before a wanted one and stops at the last
    wanted one.

    A file is unreadable where a wanted frame, or one that it may depend on, is damaged. Decoding from a key frame is
    strict: where the decoder finds the least fault, the whole file is decoded, and that decides. Codecs of
    ``DOUBTFUL`` are decoded whole at the first reading.

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
        self.container, self.stream = open_video(self.path, threads, strict=True)
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
        self.doubtful = codec.name in DOUBTFUL
        self.pictures = Pictures(codec.width, codec.height, short_side)

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
            whole = self.doubtful or not self.index
            found = self.in_order(set(frames)) if whole else self.by_key(set(frames))
            self.doubtful = False
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
                except (av.error.InvalidDataError, Damaged, Unordered):
                    continue
                if group <= found.keys():
                    break
        missing = wanted - found.keys()
        return self.in_order(wanted) if missing else found

    def decode_from(self, key: int, wanted: set[int]) -> dict[int, np.ndarray]:
        """Those of the wanted frames that decoding from a key packet gives."""
        packets = self.ranked(key)  # seeks, which empties the codec
        if not wanted:
            return {}
        names, left, found, shown, first, last = {}, set(wanted), {}, [], None, max(wanted)
        for packet, frame in packets:
            first = packet.pts if first is None else first
            left.discard(frame)
            if packet.pts >= first and 0 <= frame <= last:  # others refer to what was before the key frame
                names[packet.pts] = frame
            shown += self.take(packet.decode(), names, wanted, found)
            if not left:
                break
        shown += self.take(self.stream.codec_context.decode(None), names, wanted, found)
        if shown != sorted(shown) or not names.keys() <= set(shown):
            raise Damaged
        return found

    def take(self, decoded: Iterable[VideoFrame], names: dict[int, int], wanted: set[int],
             found: dict[int, np.ndarray]) -> list[int]:
        """Converts the wanted ones, whose numbers are in ``names`` by time; returns the times of all."""
        times = []
        for picture in decoded:
            if picture.is_corrupt:
                raise Damaged
            times.append(picture.pts)
            frame = names.get(picture.pts)
            if frame in wanted:
                found[frame] = self.pictures.convert(picture)
        return times

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

    def restart(self, strict: bool = True) -> None:
        """Opens the file anew, which leads to its first packet where a seek may not."""
        self.container.close()
        self.container, self.stream = open_video(self.path, self.threads, strict)

    def in_order(self, wanted: set[int]) -> dict[int, np.ndarray]:
        """The frames by counting a decode from the start; of a file with an index to the end, which has been in doubt.

        Raises:
            VideoError: one is damaged, or there are fewer or more.
        """
        found: dict[int, np.ndarray] = {}
        self.restart(strict=False)
        decoded = 0
        for decoded, picture in enumerate(whole_pictures(self.container, self.stream, self.path), 1):
            if decoded - 1 in wanted:
                found[decoded - 1] = self.pictures.convert(picture)
                if len(found) == len(wanted) and not self.index:
                    break
        if len(found) < len(wanted) or self.index and decoded != self.frames:
            raise truncated(self.path, self.frames, decoded)
        self.restart()
        return found

    def count(self) -> int:
        """How many frames a decode of the whole file gives; for files whose packets do not tell."""
        with errors_of(self.path):
            self.restart(strict=False)
            frames = sum(1 for _ in whole_pictures(self.container, self.stream, self.path))
        if not frames:
            raise VideoError(self.path, 'no frames')
        return frames
