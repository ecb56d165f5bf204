"""Videos read and written from start to end, against a decode of the whole file."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import mmext  # noqa: F401
from mmext.data.video.container import VideoError
from mmext.data.video.stream import Frame, FrameReader, FrameWriter
from tests.video.clips import KINDS, copy, number_of, picture, whole, write


def read(path: Path) -> tuple[list[Frame], str | None]:
    """The frames until the end or until it breaks off, and why."""
    frames = []
    try:
        for frame in FrameReader(path):
            frames.append(frame)
    except VideoError as error:
        assert str(path) in str(error)
        return frames, error.reason
    return frames, None


@pytest.mark.parametrize('kind', [kind for kind in KINDS if 'hevc' not in kind and kind != 'layers.mp4'])
def test_every_frame_once_in_order(kind: str, tmp_path: Path) -> None:
    path = write(tmp_path / kind, kind, 30)
    frames, reason = read(path)
    assert reason is None and [number_of(frame.image) for frame in frames] == list(range(30))
    for frame, image in zip(frames, whole(path)):
        assert np.abs(frame.image.astype(int) - image).mean() < 1
    assert [float(frame.time) for frame in frames] == pytest.approx([i / 25 for i in range(30)], abs=1e-3)
    assert FrameReader(path).rate == 25


def test_times_of_a_variable_rate(tmp_path: Path) -> None:
    times = [500, 540, 640, 1000, 1040, 1043]
    frames, _ = read(write(tmp_path / 'a.mkv', frames=6, pts=times))
    assert [float(frame.time) for frame in frames] == [(time - 500) / 1000 for time in times]
    with FrameWriter(tmp_path / 'b.part', Fraction(25)) as writer:
        for frame in frames:
            writer.write(frame)
    again, reason = read(tmp_path / 'b.part')
    assert reason is None
    assert [float(frame.time) for frame in again] == [(time - 500) / 1000 for time in times]


@pytest.mark.parametrize('rate', [Fraction(text) for text in ('25', '30000/1001', '1/2', '240', '65521/999')])
@pytest.mark.parametrize('size', [(64, 48), (65, 49)])
def test_what_is_written(rate: Fraction, size: tuple[int, int], tmp_path: Path) -> None:
    """H.264 of even sides in mp4, as long and as fast as told, playable from its first byte on."""
    smooth = np.stack(np.meshgrid(*(np.linspace(50, 200, side) for side in size), 90), axis=-1)[:, :, 0]
    source = [picture(i, *size, smooth.astype(np.uint8)) for i in range(12)]
    with FrameWriter(tmp_path / 'b.part', rate) as writer:
        for i, image in enumerate(source):
            writer.write(Frame(image, i / rate))
    with av.open(str(tmp_path / 'b.part')) as container:
        stream = container.streams.video[0]
        assert 'mp4' in container.format.name and stream.codec_context.name == 'h264'
        assert stream.pix_fmt == 'yuv420p' and (stream.width, stream.height) == (size[0] + size[0] % 2,
                                                                                size[1] + size[1] % 2)
        assert stream.average_rate == pytest.approx(rate) and stream.frames == 12
        assert float(stream.duration * stream.time_base) == pytest.approx(float(12 / rate), rel=1e-3)
        for frame, image in zip(container.decode(stream), source, strict=True):
            got = frame.to_ndarray(format='rgb24')
            assert number_of(got) == number_of(image)
            assert np.abs(got[:size[1], :size[0]].astype(int) - image).mean() < 6
    content = (tmp_path / 'b.part').read_bytes()
    assert content.index(b'moov') < content.index(b'mdat')


def test_as_it_is_to_be_seen(tmp_path: Path) -> None:
    upright, _ = read(write(tmp_path / 'a.mp4', frames=3))
    turned, _ = read(write(tmp_path / 'b.mp4', frames=3, rotation=90))
    assert upright[0].image.shape == (48, 64, 3) and turned[0].image.shape == (64, 48, 3)
    np.testing.assert_array_equal(turned[2].image, np.rot90(upright[2].image))


@pytest.mark.parametrize('kind, told', [('open_gop.mkv', 'truncated'), ('vp9.webm', 'truncated'),
                                        ('mpeg2.mpg', 'truncated'), ('h264.avi', 'damaged|not a video')])
def test_a_file_that_was_cut(kind: str, told: str, tmp_path: Path) -> None:
    path = write(tmp_path / kind, kind)
    path.write_bytes(path.read_bytes()[:path.stat().st_size * 6 // 10])
    frames, reason = read(path)
    assert 5 < len(frames) < 40 and [number_of(frame.image) for frame in frames] == list(range(len(frames)))
    assert any(word in reason for word in told.split('|'))


def test_a_file_that_is_damaged_in_the_middle(tmp_path: Path) -> None:
    path = write(tmp_path / 'a.mp4', 'intra.mp4')
    content = bytearray(path.read_bytes())
    content[len(content) // 2:len(content) // 2 + 300] = b'\xff' * 300
    path.write_bytes(content)
    frames, reason = read(path)
    assert 10 < len(frames) < 30 and 'damaged' in reason
    assert [number_of(frame.image) for frame in frames] == list(range(len(frames)))


def test_a_recording_that_begins_between_key_frames(tmp_path: Path) -> None:
    frames, reason = read(copy(write(tmp_path / 'a.ts', 'mpeg2.ts'), tmp_path / 'b.ts', skipped=5))
    numbers = [number_of(frame.image) for frame in frames]
    assert reason is None and numbers == list(range(numbers[0], 40)) and numbers[0] <= 13 and frames[0].time == 0


@pytest.mark.parametrize('content, told', [(None, 'no such file'), (b'', 'empty file'), (b'hello\n', 'not a video')])
def test_no_video(content: bytes | None, told: str, tmp_path: Path) -> None:
    path = tmp_path / 'a.mp4'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(VideoError, match=told):
        FrameReader(path)
