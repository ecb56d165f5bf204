"""Exact frames of a video by their numbers, without decoding more than these need."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice

import numpy as np
from av.error import InvalidDataError
from av.packet import Packet
from av.video.frame import VideoFrame

from mmext.data.video.container import VideoError, errors_of, open_video, whole_pictures
from mmext.data.video.index import Unordered, packets_of, rank_while_reading, read_index, truncated
from mmext.data.video.picture import Pictures

NOWHERE = -1
# Codecs whose decoders, when they start at a key frame of a damaged file, may silently return other pictures than a
# full decode does: in HEVC, a frame after an open key frame may refer to one before it; MPEG decoders conceal errors.
UNRELIABLE = ('hevc', 'mpeg1video', 'mpeg2video', 'mpeg4')


class Damaged(Exception):
    """The decoder marks a frame as damaged, or frames are missing, or their order is not that of their times."""


class VideoReader:
    """Random access to the frames of a video file.

    ``reader[i]`` and ``reader.get([i, j])`` return exactly the frames that a decode of the whole file gives as numbers
    i and j, counted from 0 in the order in which they are shown. Decoding starts at the last key frame before a
    requested frame and stops at the last requested one. ``len(reader)`` is the number of frames. A reader is a context
    manager that closes the file.

    A file is unreadable where a requested frame, or one that it may depend on, is damaged. Decoding from a key frame is
    strict: if the decoder reports any error, the whole file is decoded, and the result of that counts. Files of the
    codecs in ``UNRELIABLE`` are decoded as a whole at the first request.

    Args:
        path: of the file.
        threads: of the decoder; 0 uses all cores.
        short_side: of the returned frames, in pixels; None keeps the size of the video.

    Attributes:
        fps: mean frames per second; 0.0 where the file does not say.
        size: (height, width) of the returned frames in pixels, after rotation and resizing.

    Raises:
        VideoError: the file is missing, empty, not a video, truncated, or has no video stream or no frames.
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
            self.frames = self.count_frames()
        except VideoError:
            self.close()
            raise
        codec = self.stream.codec_context
        self.unreliable = codec.name in UNRELIABLE
        self.pictures = Pictures(codec.width, codec.height, short_side)

    def __len__(self) -> int:
        return self.frames

    def __getitem__(self, frame: int) -> np.ndarray:
        """One frame, RGB, uint8, (height, width, 3); raises as ``get`` does."""
        return self.images([frame])[0]

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the returned frames in pixels. VideoError: the first frame can't be decoded."""
        if self.pictures.orientation is None:  # stored with the frames
            self.images([0])
        return self.pictures.size

    def close(self) -> None:
        """Closes the file; afterwards the reader can't be used."""
        self.container.close()

    def get(self, frames: Sequence[int]) -> np.ndarray:
        """Returns frames in the requested order, RGB, uint8, (N, height, width, 3).

        Args:
            frames: N numbers of frames, in any order and perhaps repeated.

        Raises:
            IndexError: there is no such frame.
            VideoError: a frame can't be decoded.
        """
        return np.stack(self.images(frames))

    def images(self, frames: Sequence[int]) -> list[np.ndarray]:
        """As ``get``, but returns a list of arrays (height, width, 3), no two of which share memory."""
        frames = [int(frame) for frame in frames]
        outside = [frame for frame in frames if not 0 <= frame < self.frames]
        if outside:
            raise IndexError(f'{self.path}: no frame {outside[0]}, it has {self.frames}')
        with errors_of(self.path):
            whole = self.unreliable or not self.index
            found = self.decode_in_order(set(frames)) if whole else self.decode_by_key(set(frames))
            self.unreliable = False
        fresh = dict(found)
        return [fresh.pop(frame) if frame in fresh else found[frame].copy() for frame in frames]

    def decode_by_key(self, wanted: set[int]) -> dict[int, np.ndarray]:
        """Decodes each frame from the key frame before it; where that fails, from an earlier one or from the start."""
        assert self.index is not None
        groups = defaultdict(set)
        for frame in wanted:
            groups[bisect_right(self.index.starts, frame) - 1].add(frame)
        found: dict[int, np.ndarray] = {}
        for key, group in sorted(groups.items()):
            for start in sorted({key, max(key - 1, 0), 0}, reverse=True):
                try:
                    found.update(self.decode_from(start, group - found.keys()))
                except (InvalidDataError, Damaged, Unordered):
                    continue
                if group <= found.keys():
                    break
        missing = wanted - found.keys()
        return self.decode_in_order(wanted) if missing else found

    def decode_from(self, key: int, wanted: set[int]) -> dict[int, np.ndarray]:
        """Those of the wanted frames that decoding from the key packet ``index.keys[key]`` on gives.

        Raises:
            Damaged, Unordered: the result can't be relied on.
        """
        packets = self.ranked_packets(key)  # seeks, which flushes the decoder
        if not wanted:
            return {}
        names, left, found, shown, first, last = {}, set(wanted), {}, [], None, max(wanted)
        for packet, frame in packets:
            if packet.pts is None:
                raise Unordered
            first = packet.pts if first is None else first
            left.discard(frame)
            if packet.pts >= first and 0 <= frame <= last:  # others refer to frames before the key frame
                names[packet.pts] = frame
            shown += self.collect(packet.decode(), names, wanted, found)
            if not left:
                break
        shown += self.collect(self.stream.codec_context.decode(None), names, wanted, found)
        if shown != sorted(shown) or not names.keys() <= set(shown):
            raise Damaged
        return found

    def collect(self, decoded: Iterable[VideoFrame], names: dict[int, int], wanted: set[int],
                found: dict[int, np.ndarray]) -> list[int]:
        """Converts the wanted ones of some decoded frames and puts them into ``found``.

        Args:
            decoded: the frames.
            names: presentation time -> number of the frame.
            wanted: numbers of the frames to convert.
            found: number -> RGB, uint8, (height, width, 3).

        Returns:
            The presentation times of all decoded frames.

        Raises:
            Damaged: the decoder marks a frame as damaged, or gives it no time.
        """
        times: list[int] = []
        for picture in decoded:
            if picture.is_corrupt or picture.pts is None:
                raise Damaged
            times.append(picture.pts)
            frame = names.get(picture.pts)
            if frame is not None and frame in wanted:
                found[frame] = self.pictures.convert(picture)
        return times

    def ranked_packets(self, key: int) -> Iterator[tuple[Packet, int]]:
        """Seeks to the key packet ``index.keys[key]``; the packets from there on, each with its frame's number."""
        assert self.index is not None
        packets, first = self.seek(key), self.index.keys[key]
        if self.index.ranks is None:
            return rank_while_reading(packets, first)
        return zip(packets, self.index.ranks[first:])

    def seek(self, key: int) -> Iterator[Packet]:
        """The packets from the key packet ``index.keys[key]`` on. A seek may land before it, in some files after it."""
        assert self.index is not None
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
        """Opens the file again, at its first packet, where a seek may not land; ``strict`` as for ``open_video``."""
        self.container.close()
        self.container, self.stream = open_video(self.path, self.threads, strict)

    def decode_in_order(self, wanted: set[int]) -> dict[int, np.ndarray]:
        """Decodes from the start and counts; a file with an index is decoded to its end, to check that they agree.

        Raises:
            VideoError: a frame is damaged, or the file has fewer or more frames than its index.
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

    def count_frames(self) -> int:
        """The number of frames that a decode of the whole file gives, for files whose packets do not tell it."""
        with errors_of(self.path):
            self.restart(strict=False)
            frames = sum(1 for _ in whole_pictures(self.container, self.stream, self.path))
        if not frames:
            raise VideoError(self.path, 'no frames')
        return frames
