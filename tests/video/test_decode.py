"""Frames at random are those of a decode of the whole file, and each broken file has its reason."""

from __future__ import annotations

import random
import re
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from mmext.data.video import VideoReader
from mmext.data.video.container import VideoError
from mmext.data.video.picture import Orientation
from tests.video.clips import KINDS, copy, number_of, whole, write, write_sound

NOT_SEEKABLE = ('h264.avi', 'mpeg4.avi')


def same(path: Path, reference: list[np.ndarray], seed: int = 0) -> None:
    """Every frame alone, in random order, and several at a time with repeats."""
    draw = random.Random(seed)
    with VideoReader(path) as video:
        assert len(video) == len(reference)
        assert video.size == reference[0].shape[:2]
        for frame in draw.sample(range(len(video)), len(video)):
            assert np.array_equal(video[frame], reference[frame]), frame
        for _ in range(5):
            frames = draw.choices(range(len(video)), k=9)
            assert np.array_equal(video.get(frames), [reference[frame] for frame in frames]), frames


@pytest.mark.parametrize('kind', KINDS)
def test_frames_of_every_kind(tmp_path: Path, kind: str):
    path = write(tmp_path / kind, kind)
    reference = whole(path)
    assert [number_of(image) for image in reference] == list(range(40)), 'the reference itself'
    same(path, reference)


@pytest.mark.parametrize('kind', [kind for kind in KINDS if kind not in NOT_SEEKABLE])
def test_no_kind_needs_a_decode_from_the_start(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch):
    """But for the first reading of those in which damage is not always told."""
    path = write(tmp_path / kind, kind)
    monkeypatch.setattr(VideoReader, 'count_frames', lambda *_: pytest.fail('counted by decoding'))
    with VideoReader(path) as video:
        if video.unreliable:
            assert number_of(video[5]) == 5
        monkeypatch.setattr(VideoReader, 'decode_in_order', lambda *_: pytest.fail('decoded from the start'))
        assert number_of(video[31]) == 31


def test_reaching_a_frame_decodes_no_more_than_its_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = write(tmp_path / 'a.mp4')
    sent = []
    ranked = VideoReader.ranked_packets

    def counted(self, key):
        return (sent.append(frame) or (packet, frame) for packet, frame in ranked(self, key))

    monkeypatch.setattr(VideoReader, 'ranked_packets', counted)
    with VideoReader(path) as video:
        video.get([26, 27])
        assert sent and set(sent) <= set(range(24, 36)), 'key frames are 0, 12, 24, 36'
        sent.clear()
        video.get([1, 37])
        assert not {frame for frame in sent if 12 <= frame < 36}


@pytest.mark.parametrize('kind', ['h264.mp4', 'open_gop.mkv', 'hevc.mp4', 'vp9.webm'])
@pytest.mark.parametrize('start', [0, 700])
def test_variable_frame_rate(tmp_path: Path, kind: str, start: int):
    steps = np.random.default_rng(1).integers(11, 300, 40)
    path = write(tmp_path / kind, kind, pts=[start, *(start + np.cumsum(steps)[:-1]).tolist()])
    same(path, whole(path))


@pytest.mark.parametrize('kind', ['h264.mp4', 'hevc.mp4'])
def test_an_edit_list_that_drops_the_first_frames(tmp_path: Path, kind: str):
    source, path = write(tmp_path / f'a_{kind}', kind), tmp_path / kind
    copy(source, path, seconds=-5 / 25)
    reference = whole(path)
    assert number_of(reference[0]) == 5 and len(reference) == 35, 'the reference itself'
    same(path, reference)


def test_a_file_that_starts_between_key_frames(tmp_path: Path):
    source, path = write(tmp_path / 'a.ts', 'open_gop.ts'), tmp_path / 'b.ts'
    copy(source, path, skipped=5)
    same(path, whole(path))


@pytest.mark.parametrize('kind', ['open_gop.mp4', 'hevc.mp4'])
def test_a_file_cut_where_frames_lead_a_key_frame(tmp_path: Path, kind: str):
    source, path = write(tmp_path / f'a_{kind}', kind), tmp_path / kind
    with av.open(str(source)) as read:
        keys = [i for i, packet in enumerate(read.demux(video=0)) if packet.is_keyframe]
    copy(source, path, skipped=keys[1])
    same(path, whole(path))


def test_a_hidden_frame_of_vp8(tmp_path: Path):
    """One that only others refer to has a packet, and is no frame."""
    source = write(tmp_path / 'a.webm', 'vp8.webm')
    with av.open(str(source)) as read:
        packets = [bytes(packet) for packet in read.demux(video=0)]
    content = source.read_bytes()
    for packet in packets[3:20:8]:
        assert content.count(packet) == 1
        content = content.replace(packet, bytes([packet[0] & ~0x10]) + packet[1:])
    path = tmp_path / 'b.webm'
    path.write_bytes(content)
    assert len(whole(path)) == 37
    same(path, whole(path))


@pytest.mark.parametrize('size', [(65, 49), (67, 50)])
@pytest.mark.parametrize('kind', ['h264.mp4', 'vp9.webm'])
def test_odd_sizes(tmp_path: Path, kind: str, size: tuple[int, int]):
    path = write(tmp_path / kind, kind, frames=15, size=size)
    assert whole(path)[0].shape == (*size[::-1], 3)
    same(path, whole(path))


@pytest.mark.parametrize('degrees, turns', [(90, 1), (180, 2), (-90, 3), (0, 0)])
def test_rotation(tmp_path: Path, degrees: int, turns: int):
    path = write(tmp_path / 'a.mp4', frames=15, rotation=degrees)
    same(path, [np.rot90(image, turns) for image in whole(path)])


@pytest.mark.parametrize('matrix, expected', [
    ((1, 0, 0, 1), lambda image: image), ((-1, 0, 0, 1), lambda image: image[:, ::-1]),
    ((1, 0, 0, -1), lambda image: image[::-1]), ((0, 1, 1, 0), lambda image: image.transpose(1, 0, 2)),
    ((0, -1, -1, 0), lambda image: image.transpose(1, 0, 2)[::-1, ::-1]),
    ((0.7, 0.72, -0.72, 0.7), lambda image: np.rot90(image, -1))])
def test_mirrors_and_odd_angles(matrix: tuple, expected):
    a, b, c, d = (int(65536 * value) for value in matrix)
    image = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    matrix = np.array([a, b, 0, c, d, 0, 0, 0, 1 << 30], np.int32).tobytes()
    assert np.array_equal(Orientation.of(matrix).apply(image), expected(image))


def test_resizing_while_converting(tmp_path: Path):
    path = write(tmp_path / 'a.mp4', size=(96, 64), rotation=90, frames=10)
    with VideoReader(path, short_side=32) as video:
        assert video.size == (48, 32)
        images = video.get([3, 0])
    assert images.shape == (2, 48, 32, 3)
    for frame, alike in ((3, True), (4, False)):
        smooth = Image.fromarray(np.rot90(whole(path)[frame])).resize((32, 48), Image.Resampling.BILINEAR)
        assert (np.abs(images[0] - np.asarray(smooth, float)).mean() < 5) == alike


def test_facts_of_a_file(tmp_path: Path):
    with VideoReader(write(tmp_path / 'a.mp4', frames=20)) as video:
        assert (len(video), video.fps, video.size) == (20, 25.0, (48, 64))
        images = video.images([3, 3])
        assert not np.shares_memory(*images) and images[0].flags.c_contiguous
        with pytest.raises(IndexError, match='no frame 20, it has 20'):
            video[20]


@pytest.mark.parametrize('kind, front', [('h264.mp4', False), ('h264.mp4', True), ('open_gop.mkv', False),
                                         ('vp9.webm', False), ('no_b.avi', False), ('mpeg4.avi', False)])
@pytest.mark.parametrize('share', [0.01, 0.3, 0.6, 0.9])
def test_truncated(tmp_path: Path, kind: str, share: float, front: bool):
    path = write(tmp_path / kind, kind)
    if front:  # the table of mp4 at the front, as on the web
        path = copy(path, tmp_path / 'b.mp4', movflags='faststart')
    content = path.read_bytes()
    path.write_bytes(content[:int(len(content) * share)])
    with pytest.raises(VideoError, match=path.name) as caught, VideoReader(path) as video:
        video.get(range(len(video)))
    assert '\n' not in str(caught.value)
    assert re.search('truncated|not a video, or damaged', caught.value.reason)
    if share > 0.5 and (front or path.suffix != '.mp4'):
        assert 'truncated' in caught.value.reason


def broken(folder: Path, what: str) -> Path:
    path = folder / {'text': 'a.txt', 'sound.wav': 'a.wav', 'sound.m4a': 'a.m4a'}.get(what, 'a.mp4')
    if what == 'empty':
        path.touch()
    elif what == 'folder':
        path.mkdir()
    elif what.startswith('text'):
        path.write_text('not a video\n' * 100)
    elif what == 'noise':
        path.write_bytes(np.random.default_rng(0).bytes(20_000))
    elif what.startswith('sound'):
        write_sound(path)
    return path


@pytest.mark.parametrize('what, reason', [
    ('missing', 'no such file'), ('empty', 'empty file'), ('folder', 'a folder'), ('text', 'not a video'),
    ('text.mp4', 'not a video'), ('noise', 'not a video'), ('sound.wav', 'no video stream, only audio'),
    ('sound.m4a', 'no video stream, only audio')])
def test_unreadable(tmp_path: Path, what: str, reason: str):
    path = broken(tmp_path, what)
    with pytest.raises(VideoError, match=path.name) as caught:
        VideoReader(path)
    assert reason in caught.value.reason


def test_damaged_in_the_middle(tmp_path: Path):
    """The index is whole, but packets are not; what comes before them can still be had."""
    path = write(tmp_path / 'a.mp4', 'h264.mp4')
    with av.open(str(path)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    content = bytearray(path.read_bytes())
    for place, size in places[20:]:
        content[place:place + size] = bytes(size)
    path.write_bytes(content)
    with VideoReader(path) as video:
        assert number_of(video[3]) == 3
        with pytest.raises(VideoError, match='a.mp4'):
            video.get([3, 35])


def test_a_few_frames_do_not_take_the_file(tmp_path: Path):
    """Of a file with its index, a small part is read."""
    path = write(tmp_path / 'a.mp4', 'intra.mp4', frames=60, size=(640, 480))
    with VideoReader(path) as video, open('/proc/self/io') as io:
        def read() -> int:
            io.seek(0)
            return int(next(line for line in io if line.startswith('rchar')).split()[1])
        before = read()
        video.get([10, 50])
        assert read() - before < path.stat().st_size / 3


def test_real_clips(real_clips: list[Path]):
    for path in real_clips:
        reference = whole(path)
        frames = random.Random(0).sample(range(len(reference)), 12)
        with VideoReader(path) as video:
            assert len(video) == len(reference)
            assert np.array_equal(video.get(frames), [reference[frame] for frame in frames])
            assert np.array_equal(video[len(video) - 1], reference[-1])


def test_dropped_frames_of_avi_are_no_truncation(tmp_path: Path):
    """They are counted in its header, and have no packets."""
    times = [40 * time for time in (0, 1, 2, 5, 6, 7, 8, 9)]
    path = write(tmp_path / 'no_b.avi', 'no_b.avi', frames=8, pts=times)
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames > 8
    same(path, whole(path))
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(VideoError, match='truncated'):
        VideoReader(path)


def flipped(source: Path, seed: int) -> Path:
    """A copy of a file with two bits of one packet the other way round."""
    draw, content = random.Random(seed), bytearray(source.read_bytes())
    with av.open(str(source)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    packet = draw.choice(packets[1:])
    for place in (draw.randrange(8, len(packet) - 8) for _ in range(2)):
        part = packet[place - 4:place + 5]
        if content.count(part) == 1:  # packets of TS are in pieces
            content[content.index(part) + 4] ^= 1 << draw.randrange(8)
    path = source.with_name(f'flipped{seed}_{source.name}')
    path.write_bytes(content)
    return path


def decoded(path: Path) -> tuple[dict[int, np.ndarray], bool]:
    """By time what a full decode gives, and whether it finds nothing wrong."""
    frames, fine = {}, True
    with av.open(str(path)) as container:
        if container.streams.video[0].codec_context.name == 'hevc':  # its decoder marks no pictures
            container.streams.video[0].codec_context.options = {'err_detect': 'explode'}
        container.streams.video[0].thread_type = 'NONE'  # with threads damage is now and then concealed otherwise
        for packet in container.demux(video=0):
            try:
                for frame in packet.decode():
                    frames[frame.pts] = frame.to_ndarray(format='rgb24')
                    fine &= not frame.is_corrupt
            except av.error.InvalidDataError:
                fine = False
    return frames, fine


@pytest.mark.parametrize('kind', ['h264.mp4', 'no_b.mp4', 'h264.avi', 'open_gop.mp4', 'hevc.mkv', 'vp9.webm',
                                  'hevc.mp4', 'mpeg4.mp4', 'mpeg4.avi', 'mpeg2.ts'])
def test_flipped_bits(tmp_path: Path, kind: str) -> None:
    """A frame is that of a full decode, or unreadable; all of them are given where that finds nothing wrong."""
    source = write(tmp_path / kind, kind)
    times, refused, changed = sorted(decoded(source)[0]), 0, 0
    for seed in (*range(8), 26, 30):
        path = flipped(source, seed)
        whole, fine = decoded(path)
        for frame in random.Random(seed).sample(range(40), 8):
            try:
                with VideoReader(path) as video:
                    given = video[frame]
            except VideoError:
                assert not fine or len(whole) < 40
                refused += 1
                continue
            same_number = list(whole.values())[frame] if path.suffix == '.avi' else whole[times[frame]]
            assert np.array_equal(given, same_number), (seed, frame)
            changed += 1
    assert changed and (refused or kind == 'vp9.webm')


def test_joined_recordings(tmp_path: Path) -> None:
    """As with cat: times start anew, and a packet has a mark of corruption that is none."""
    first, second = (write(tmp_path / name, 'mpeg2.ts', frames=frames) for name, frames in (('a.ts', 20), ('b.ts', 15)))
    path = tmp_path / 'joined.ts'
    path.write_bytes(first.read_bytes() + second.read_bytes())
    same(path, whole(path))
    assert [number_of(image) for image in whole(path)] == [*range(20), *range(15)]
