"""Which packet of a video file holds which frame, found without decoding."""

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

TELLS_DURATION = ('matroska,webm', 'flv')  # written by the muxer; other demuxers take it from what is there
SHORT_OF = 0.1  # seconds that a file may end before its header says, or two frames
NOT_SHOWN = -1


class Unordered(Exception):
    """The packets' times don't tell the order of the frames."""


@dataclass
class Index:
    """A file's packets, numbered in the order of decoding, and its frames, in the order of a full decode.

    Args:
        frames: how many a full decode gives.
        keys: the packets that decoding can start at.
        starts: for each key the first frame that can be had from there; ascending.
        times: for each key the time to seek to, in the stream's time base.
        places: a packet's place in the file -> packet; perhaps of the keys alone.
        ranks: packet -> frame, or ``NOT_SHOWN``; None where it is found while packets are read.
    """

    frames: int
    keys: list[int]
    starts: list[int]
    times: list[int]
    places: dict[int, int] = field(repr=False)
    ranks: list[int] | None = field(default=None, repr=False)


def packets_of(container: InputContainer, stream: VideoStream) -> Iterator[Packet]:
    """The stream's packets from where the container stands, without the empty one at the end."""
    for packet in container.demux(stream):
        if packet.size or packet.pts is not None or packet.dts is not None:
            yield packet


def read_index(container: InputContainer, stream: VideoStream, path: str) -> Index:
    """Finds the frames: in the file's own table where there is one, else by reading it through.

    Raises:
        VideoError: the file ends before its header says, or has no frames.
        Unordered: only decoding can tell; times are missing or equal, or the first frames can't be decoded.
    """
    return index_from_table(container, stream, path) or index_from_packets(container, stream, path)


def index_from_table(container: InputContainer, stream: VideoStream, path: str) -> Index | None:
    """From the sample table of mp4 and mov; None where it is not the plain list of all frames.

    It has times of decoding only, so that ``ranks`` are left open. Of the file the first few packets are read.
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
    places = {entries[i].pos: i for i in keys}
    if not keys or keys[0] or len(places) < len(keys):
        return None
    if leads_in(container, stream):
        raise Unordered
    return Index(len(entries), keys, keys, [entries[i].timestamp for i in keys], places)


def leads_in(container: InputContainer, stream: VideoStream) -> bool:
    """Whether frames are shown before the first key frame: their references were cut off with what was before."""
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
    """From all packets; the file is read once, and none of it kept."""
    packets = Packets(joins='mpegts' in container.format.name)
    for packet in packets_of(container, stream):
        packets.add(packet, stream.codec_context.name)
    if not packets.shown:
        raise VideoError(path, 'no frames')
    promised = len(stream.index_entries) if 'mp4' in container.format.name else stream.frames
    if container.format.name == 'avi' and not ends_within_riff(path):
        promised = 0  # its header counts dropped frames too, which have no packets
    cut = 'mpegts' not in container.format.name and packets.corrupt and packets.corrupt[-1] >= len(packets.pts) - 2
    if cut or promised > len(packets.pts) or ends_early(container, stream, packets.end):
        raise truncated(path, promised, len(packets.shown))
    if packets.corrupt:
        raise Unordered  # as where two recordings are joined; decoding tells which frames there are
    # AVI has no times of showing: they are guessed, wrongly for H.264 and for two MPEG-4 frames packed into one.
    if container.format.name == 'avi' and stream.codec_context.has_b_frames:
        raise Unordered
    return packets.index(seek_by_pts=container.format.name.startswith('matroska'))


@dataclass
class Packets:
    """What is noted of each packet, in the order of decoding; ``joins``: files may be one after the other in one."""

    pts: list[int | None] = field(default_factory=list)
    dts: list[int | None] = field(default_factory=list)
    places: list[int | None] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)
    shown: list[int] = field(default_factory=list)
    joins: bool = False
    corrupt: list[int] = field(default_factory=list)
    end: int = 0

    def add(self, packet: Packet, codec: str) -> None:
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
        """The frames, by their times; Unordered where those do not tell."""
        times = {self.pts[i] for i in self.shown} - {None}
        if len(times) < len(self.shown) or not self.keys or self.keys[0] or min(times) < self.pts[0]:
            raise Unordered
        decoded_at = [time for time in self.dts if time is not None]
        if self.joins and decoded_at != sorted(decoded_at):
            raise Unordered  # recordings that were joined
        rank_of = {time: rank for rank, time in enumerate(sorted(times))}
        ranks = [NOT_SHOWN] * len(self.pts)
        for i in self.shown:
            ranks[i] = rank_of[self.pts[i]]
        keys = self.safe_keys(ranks)
        times = [self.pts[i] if self.dts[i] is None or seek_by_pts else self.dts[i] for i in keys]
        places = {place: i for i, place in enumerate(self.places)}
        return Index(len(self.shown), keys, [max(ranks[i], 0) for i in keys], times, places, ranks)

    def safe_keys(self, ranks: list[int]) -> list[int]:
        """Those key packets that come after all packets which are shown before them."""
        if len(set(self.places) - {None}) < len(self.places):
            return [0]  # where a seek lands can't be told
        safe, latest, done = [], NOT_SHOWN, 0
        for key in self.keys:
            latest = max([latest, *ranks[done:key]])
            done = key
            if key == 0 or ranks[key] > latest:
                safe.append(key)
        return safe


def hidden_vp8(packet: Packet) -> bool:
    """Whether a VP8 frame is only for others to refer to: bit 4, show_frame (RFC 6386, section 9.1)."""
    return not memoryview(packet)[0] & 0x10


def ends_early(container: InputContainer, stream: VideoStream, end: int) -> bool:
    """Whether the file was cut: no stream of it goes on for as long as the header says."""
    if container.format.name not in TELLS_DURATION or not container.duration:
        return False
    says = container.duration / 1e6 - max(SHORT_OF, 2 / float(stream.average_rate or 25))
    if float(end * stream.time_base) >= says:
        return False
    container.seek(0)
    return all(float((packet.pts + (packet.duration or 0)) * packet.time_base) < says
               for packet in container.demux() if packet.pts is not None)


def ends_within_riff(path: str) -> bool:
    """Whether an AVI file is shorter than its outermost chunk, whose size stands after the four letters RIFF."""
    with open(path, 'rb') as file:
        head = file.read(8)
    return len(head) == 8 and 8 + int.from_bytes(head[4:], 'little') > os.path.getsize(path)


def truncated(path: str, promised: int, found: int) -> VideoError:
    return VideoError(path, f'truncated: {found} of {promised} frames' if promised > found else
                      f'truncated: it ends after {found} frames, before its header says')


def rank_in_passing(packets: Iterable[Packet], first: int) -> Iterator[tuple[Packet, int]]:
    """Gives packets their frames from their times, holding back only as many as decoding reorders.

    A packet's frame is certain when one to be decoded at the time of its showing, or later, has come: times of decoding
    rise, and none is shown before it is decoded.

    Args:
        packets: from a key packet on.
        first: how many frames are shown before these.

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
