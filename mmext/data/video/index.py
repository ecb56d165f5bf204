"""The index of a video file: which packet holds which frame, found without decoding."""

from __future__ import annotations

import os
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from mmext.data.video.container import VideoError

HAVE_DURATION = ('matroska,webm', 'flv')  # the muxer writes it; other demuxers compute it from the packets found
TOLERANCE = 0.1  # seconds, or two frames if that is longer, that a file may end before its header says
NOT_SHOWN = -1


class Unordered(Exception):
    """The packets' times do not determine the order of the frames."""


@dataclass
class Index:
    """A file's packets, numbered in decoding order, and its frames, numbered in the order of a full decode.

    Args:
        frames: number of frames that a full decode gives.
        keys: the packets that decoding can start at (key packets).
        starts: for each key packet the first frame that decoding from there gives; ascending.
        times: for each key packet the time to seek to, in the stream's time base.
        places: byte position in the file, None where it is unknown -> packet; perhaps of key packets only.
        ranks: packet -> frame, or ``NOT_SHOWN``; None where that is found while packets are read.
    """

    frames: int
    keys: list[int]
    starts: list[int]
    times: list[int]
    places: dict[int | None, int] = field(repr=False)
    ranks: list[int] | None = field(default=None, repr=False)


def packets_of(container: InputContainer, stream: VideoStream) -> Iterator[Packet]:
    """Yields the stream's packets from the container's current position on, without the empty one at the end."""
    for packet in container.demux(stream):
        if packet.size or packet.pts is not None or packet.dts is not None:
            yield packet


def read_index(container: InputContainer, stream: VideoStream, path: str) -> Index:
    """Makes the index from the file's own table where there is one, else from all its packets.

    Raises:
        VideoError: the file ends before its header says, or has no frames.
        Unordered: times are missing or equal, or the first frames can't be decoded, so that only decoding shows which
            frames there are.
    """
    return index_from_table(container, stream, path) or index_from_packets(container, stream, path)


def index_from_table(container: InputContainer, stream: VideoStream, path: str) -> Index | None:
    """Makes the index from the sample table of mp4 and mov; None where that is not the plain list of all frames.

    The table has decoding times only, so ``ranks`` is None. Only the first few packets of the file are read.
    """
    if 'mp4' not in container.format.name:
        return None
    entries = stream.index_entries[:]
    if not entries or len(entries) != stream.frames or any(entry.is_discard for entry in entries):
        return None  # in fragments, or with an edit list that does more than shift
    size = os.path.getsize(path)
    absent = sum(entry.pos + entry.size > size for entry in entries)
    if absent:
        raise truncated(path, len(entries), len(entries) - absent)
    keys = [i for i, entry in enumerate(entries) if entry.is_keyframe]
    places: dict[int | None, int] = {entries[i].pos: i for i in keys}
    if not keys or keys[0] or len(places) < len(keys):
        return None
    if begins_without_reference(container, stream):
        raise Unordered
    return Index(len(entries), keys, keys, [entries[i].timestamp for i in keys], places)


def begins_without_reference(container: InputContainer, stream: VideoStream) -> bool:
    """Whether frames are shown before the first key frame; what they refer to was cut off."""
    first = None
    for packet in packets_of(container, stream):
        if packet.pts is None or packet.dts is None:
            return True
        first = packet.pts if first is None else first
        if packet.pts < first:
            return True
        if packet.dts >= first:
            break
    return False


def index_from_packets(container: InputContainer, stream: VideoStream, path: str) -> Index:
    """Makes the index from all packets; the file is read once, and no packet is kept."""
    packets = Packets(joins='mpegts' in container.format.name)
    for packet in packets_of(container, stream):
        packets.add(packet, stream.codec_context.name)
    if not packets.shown:
        raise VideoError(path, 'no frames')
    promised = len(stream.index_entries) if 'mp4' in container.format.name else stream.frames
    if container.format.name == 'avi' and not ends_within_riff(path):
        promised = 0  # an AVI header also counts dropped frames, which have no packets
    cut = 'mpegts' not in container.format.name and packets.corrupt and packets.corrupt[-1] >= len(packets.pts) - 2
    if cut or promised > len(packets.pts) or ends_early(container, stream, packets.end):
        raise truncated(path, promised, len(packets.shown))
    if packets.corrupt:
        raise Unordered  # as where two recordings are joined; only decoding shows which frames there are
    # AVI has no presentation times: they are guessed, wrongly for H.264 and for two MPEG-4 frames packed into one.
    if container.format.name == 'avi' and stream.codec_context.has_b_frames:
        raise Unordered
    return packets.index(seek_by_pts=container.format.name.startswith('matroska'))


@dataclass
class Packets:
    """What the index needs to know of each packet, in decoding order.

    Args:
        pts, dts: presentation and decoding times, in the stream's time base.
        places: byte positions in the file.
        keys: the key packets.
        shown: the packets whose frames are shown.
        joins: whether the format allows several recordings to be concatenated to one file.
        corrupt: the packets that the demuxer marks as damaged.
        end: when the last frame ends, in the stream's time base.
    """

    pts: list[int | None] = field(default_factory=list)
    dts: list[int | None] = field(default_factory=list)
    places: list[int | None] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)
    shown: list[int] = field(default_factory=list)
    joins: bool = False
    corrupt: list[int] = field(default_factory=list)
    end: int = 0

    def add(self, packet: Packet, codec: str) -> None:
        """Adds the next packet of a stream of the codec with this name."""
        if packet.is_keyframe:
            self.keys.append(len(self.pts))
        if packet.size and not packet.is_discard and not (codec == 'vp8' and hidden_vp8(packet)):
            self.shown.append(len(self.pts))
        if packet.is_corrupt:
            self.corrupt.append(len(self.pts))
        self.pts.append(packet.pts)
        self.dts.append(packet.dts)
        self.places.append(packet.pos)
        self.end = max(self.end, (packet.pts or 0) + (packet.duration or 0))

    def index(self, seek_by_pts: bool) -> Index:
        """Numbers the frames by their times. Unordered: the times do not determine the order.

        Args:
            seek_by_pts: seek to key packets by presentation times, not by decoding times.
        """
        shown_at = {i: time for i in self.shown if (time := self.pts[i]) is not None}
        times, first = sorted(set(shown_at.values())), self.pts[0]
        if len(times) < len(self.shown) or not self.keys or self.keys[0] or first is None or times[0] < first:
            raise Unordered
        decoded_at = [time for time in self.dts if time is not None]
        if self.joins and decoded_at != sorted(decoded_at):
            raise Unordered  # several recordings in one file
        rank_of = {time: rank for rank, time in enumerate(times)}
        ranks = [NOT_SHOWN] * len(self.pts)
        for i, time in shown_at.items():
            ranks[i] = rank_of[time]
        keys = self.safe_keys(ranks)
        seek_to = [self.pts[i] if self.dts[i] is None or seek_by_pts else self.dts[i] for i in keys]
        key_times = [time for time in seek_to if time is not None]
        if len(key_times) < len(keys):
            raise Unordered
        places = {place: i for i, place in enumerate(self.places)}
        return Index(len(self.shown), keys, [max(ranks[i], 0) for i in keys], key_times, places, ranks)

    def safe_keys(self, ranks: list[int]) -> list[int]:
        """The key packets that come after all packets which are shown before them; ``ranks`` as in ``Index``."""
        if len(set(self.places) - {None}) < len(self.places):
            return [0]  # the position does not tell where a seek has landed
        safe, latest, done = [], NOT_SHOWN, 0
        for key in self.keys:
            latest = max([latest, *ranks[done:key]])
            done = key
            if key == 0 or ranks[key] > latest:
                safe.append(key)
        return safe


def hidden_vp8(packet: Packet) -> bool:
    """Whether a VP8 frame is never shown, but only referred to: bit 4, show_frame (RFC 6386, section 9.1)."""
    return not memoryview(packet)[0] & 0x10


def ends_early(container: InputContainer, stream: VideoStream, end: int) -> bool:
    """Whether the file was cut: none of its streams lasts as long as its header says.

    Args:
        container, stream: of the file.
        end: when the stream ends, in its time base.
    """
    if container.format.name not in HAVE_DURATION or not container.duration:
        return False
    expected = container.duration / 1e6 - max(TOLERANCE, 2 / float(stream.average_rate or 25))
    assert stream.time_base is not None, 'of a stream whose packets have been read'
    if float(end * stream.time_base) >= expected:
        return False
    container.seek(0)
    return all(float((packet.pts + (packet.duration or 0)) * packet.time_base) < expected
               for packet in container.demux() if packet.pts is not None)


def ends_within_riff(path: str) -> bool:
    """Whether an AVI file is shorter than its outermost chunk, whose size follows the four letters RIFF."""
    with open(path, 'rb') as file:
        head = file.read(8)
    return len(head) == 8 and 8 + int.from_bytes(head[4:], 'little') > os.path.getsize(path)


def truncated(path: str, promised: int, found: int) -> VideoError:
    """The error for a file with fewer frames than its header or index promises, or with an earlier end."""
    return VideoError(path, f'truncated: {found} of {promised} frames' if promised > found else
                      f'truncated: it ends after {found} frames, before its header says')


def rank_while_reading(packets: Iterable[Packet], first: int) -> Iterator[tuple[Packet, int]]:
    """Yields packets with the numbers of their frames, derived from the packets' times.

    A packet's frame number is certain once a packet has been read whose decoding time is not before its presentation
    time: decoding times rise, and no frame is shown before it is decoded. So only as many packets are held back as
    decoding reorders.

    Args:
        packets: from a key packet on.
        first: number of frames that are shown before these.

    Raises:
        Unordered: a packet has no time.
    """
    times, waiting = [], deque()
    for packet in packets:
        if packet.pts is None:
            raise Unordered
        insort(times, packet.pts)
        waiting.append(packet)
        while waiting and packet.dts is not None and waiting[0].pts <= packet.dts:
            head = waiting.popleft()
            yield head, first + bisect_left(times, head.pts)
    for packet in waiting:
        yield packet, first + bisect_left(times, packet.pts)
