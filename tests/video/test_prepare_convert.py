"""Smaller copies and raw frames hold the video's own frames, and stand in no video's place."""

from __future__ import annotations

import os
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from mmext.data.video import VideoReader
from mmext.data.video.prepare import convert
from mmext.data.video.prepare import plan as preparation
from mmext.data.video.prepare.convert import COPIED, DONE, THERE, UNREADABLE, Conversion, extract_frames, resize
from mmext.data.video.prepare.plan import SETTINGS, frame_folder, plan_conversions, require_settings
from mmext.data.video.prepare.sources import Source, read_source
from mmext.errors import UserError
from tests.video.clips import number_of, write, write_sound


def times(path: Path) -> list[float]:
    """When frames are shown, in seconds from the first."""
    with av.open(str(path)) as container:
        shown = sorted(frame.time for frame in container.decode(video=0))
    return [time - shown[0] for time in shown]


def grey(image: np.ndarray) -> np.ndarray:
    """A codec keeps colours at half the size, which of coloured noise leaves little."""
    return image.mean(2)


def resized(source: Path, short_side: int, name: str | None = None) -> tuple[convert.Outcome, Path]:
    target = source.parent / 'out' / (name or source.name)
    return resize(Conversion(str(source), str(target), short_side)), target


EVEN, ODD = (96, 64), (101, 75)


@pytest.mark.parametrize('kind, size', [('h264.mp4', EVEN), ('h264.mp4', ODD), ('vp9.webm', EVEN), ('no_b.avi', EVEN),
                                        ('open_gop.mkv', EVEN), ('h264.avi', EVEN), ('hevc.mp4', EVEN)])
def test_sizes_frames_and_times(tmp_path: Path, kind: str, size: tuple[int, int]):
    source = write(tmp_path / kind, kind, frames=40, size=size)
    outcome, target = resized(source, 48)
    assert outcome == convert.Outcome(DONE, 40)
    with VideoReader(source) as whole, VideoReader(target) as small:
        assert small.size == (48, {96: 72, 101: 64}[size[0]])  # 101 * 48 / 75 = 64.64
        assert len(small) == 40 and small.fps == pytest.approx(whole.fps, rel=0.05)
        assert small.stream.codec_context.pix_fmt == 'yuv420p'
        assert small.index is not None, 'frames are found without decoding all'
        expected = [cv2.resize(grey(image), small.size[::-1], interpolation=cv2.INTER_AREA)
                    for image in whole.images(range(40))]
        for i, image in enumerate(small.images(range(40))):
            errors = [np.abs(grey(image) - other).mean() for other in expected]
            assert np.argmin(errors) == i and errors[i] < 8
    assert times(target) == pytest.approx(times(source), abs=0.002)
    assert [path.name for path in target.parent.iterdir()] == [source.name], 'nothing temporary is left'


@pytest.mark.parametrize('kind', ['h264.mp4', 'open_gop.mkv', 'vp9.webm'])
def test_uneven_times_stay(tmp_path: Path, kind: str):
    pts = [i * 40 + (i * i * 7) % 37 for i in range(30)]
    source = write(tmp_path / kind, kind, frames=30, size=(96, 64), pts=pts)
    assert times(source) == pytest.approx([time / 1000 for time in pts], abs=0.002), 'the clip itself'
    outcome, target = resized(source, 32)
    assert outcome.kind == DONE and times(target) == pytest.approx(times(source), abs=0.002)


@pytest.mark.parametrize('rotation', [90, 180, -90])
def test_rotated_videos_become_upright(tmp_path: Path, rotation: int):
    source = write(tmp_path / 'a.mp4', frames=8, size=(96, 64), rotation=rotation)
    outcome, target = resized(source, 48)
    with VideoReader(source, short_side=48) as whole, VideoReader(target) as small:
        assert small.size == whole.size == ((48, 72) if rotation == 180 else (72, 48))
        assert np.abs(small[5].astype(int) - whole[5]).mean() < 12
    with av.open(str(target)) as container:
        assert next(container.decode(video=0)).side_data.get('DISPLAYMATRIX') is None


def test_sound_is_left_out_and_the_name_is_kept(tmp_path: Path):
    source = write(tmp_path / 'a.mp4', frames=10, size=(96, 64))
    with_sound = tmp_path / 'b.mp4'
    sound = write_sound(tmp_path / 'sound.mp4')
    with av.open(str(source)) as one, av.open(str(sound)) as two, av.open(str(with_sound), 'w') as written:
        streams = {read: written.add_stream_from_template(read.streams[0]) for read in (one, two)}
        for read, stream in streams.items():
            for packet in read.demux():
                if packet.dts is not None:
                    packet.stream = stream
                    written.mux(packet)
    with av.open(str(with_sound)) as container:
        assert container.streams.audio, 'the clip itself'
    with av.open(str(resized(with_sound, 32)[1])) as container:
        assert len(container.streams) == 1 and container.streams.video


@pytest.mark.parametrize('short_side', [64, 70])
def test_small_videos_are_copied(tmp_path: Path, short_side: int):
    source = write(tmp_path / 'a.mp4', frames=5, size=(96, 64))
    outcome, target = resized(source, short_side)
    assert outcome == convert.Outcome(COPIED, 5) and target.read_bytes() == source.read_bytes()
    assert resized(source, short_side)[0].kind == THERE


def test_what_is_made_goes_to_no_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A second run looks at each video and its result once, and gives the workers only what is not there."""
    source = listed(tmp_path, *(f'{name}.mp4' for name in 'abcd'))
    for name in source.names:
        write(tmp_path / 'videos' / name, frames=2, size=(96, 64))
    jobs, looks = [], []
    stat = os.stat

    def counted(function, some, *rest):
        jobs.append([Path(job.source).name for job in some])
        return ((job, function(job)) for job in some)

    monkeypatch.setattr(preparation, 'progress', counted)
    for function, target_of in ((resize, str), (extract_frames, frame_folder)):
        conversions = plan_conversions(source, tmp_path / function.__name__, target_of, 32)
        first = preparation.convert(function, conversions, source, 0, '')
        assert {outcome.kind for outcome in first.values()} == {DONE} and jobs.pop() == source.names
        with monkeypatch.context() as patch:
            patch.setattr(convert.os, 'stat', lambda path, *rest, **more: looks.append(path) or stat(path))
            again = preparation.convert(function, conversions, source, 0, '')
        asked = [path for job in conversions.values() for path in (job.source, job.target)]
        assert sorted(path for path in looks if path in asked) == sorted(asked) and jobs.pop() == []
        assert again == {name: convert.Outcome(THERE, 2 if function is extract_frames else 0) for name in source.names}
        looks.clear()
        Path(conversions['c.mp4'].source).touch()
        os.utime(conversions['c.mp4'].source, (9e9, 9e9))
        assert preparation.convert(function, conversions, source, 0, '')['c.mp4'].kind == DONE
        assert jobs.pop() == ['c.mp4']
        os.utime(conversions['c.mp4'].source)


def test_what_is_there_is_kept_until_the_video_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source = write(tmp_path / 'a.mp4', frames=5, size=(96, 64))
    folder = Conversion(str(source), str(tmp_path / 'frames' / 'a'))
    assert resized(source, 32)[0].kind == DONE and extract_frames(folder) == convert.Outcome(DONE, 5)
    assert resized(source, 32)[0].kind == THERE and extract_frames(folder) == convert.Outcome(THERE, 5)
    write(source, frames=3, size=(96, 64))
    later = (tmp_path / 'frames' / 'a').stat().st_mtime_ns + 10 ** 9
    os.utime(source, ns=(later, later))
    assert resized(source, 32)[0] == convert.Outcome(DONE, 3) and extract_frames(folder) == convert.Outcome(DONE, 3)
    assert len(os.listdir(tmp_path / 'frames' / 'a')) == 3


@pytest.mark.parametrize('function', [resize, extract_frames])
def test_nothing_is_left_of_a_video_that_breaks_midway(tmp_path: Path, function):
    source = write(tmp_path / 'a.mp4', 'no_b.mp4', frames=40, size=(96, 64))
    content = bytearray(source.read_bytes())
    middle = len(content) // 2
    content[middle:middle + 3000] = bytes(3000)
    source.write_bytes(content)
    outcome = function(Conversion(str(source), str(tmp_path / 'out' / 'a'), 32) if function is extract_frames else
                       Conversion(str(source), str(tmp_path / 'out' / 'a.mp4'), 32))
    assert outcome.kind == UNREADABLE and outcome.reason
    assert not list((tmp_path / 'out').iterdir())


def test_a_container_that_is_not_written(tmp_path: Path):
    source = write(tmp_path / 'a.mpg', 'mpeg2.mpg', frames=20, size=(96, 64))
    assert resized(source, 32)[0].reason.startswith(".mpg can't be written, only .mp4, ")
    assert resized(source, 64)[0].kind == COPIED


@pytest.mark.parametrize('kind, rotation', [('h264.mp4', None), ('h264.mp4', 90), ('one_key.mp4', None),
                                            ('mpeg4.avi', None)])
def test_frames_are_the_readers(tmp_path: Path, kind: str, rotation: int | None):
    source = write(tmp_path / kind, kind, frames=20, rotation=rotation)
    (tmp_path / 'out' / '.a.part').mkdir(parents=True)
    (tmp_path / 'out' / '.a.part' / 'img_00099.jpg').touch()  # of a run that was killed
    assert extract_frames(Conversion(str(source), str(tmp_path / 'out' / 'a'))) == convert.Outcome(DONE, 20)
    assert os.listdir(tmp_path / 'out') == ['a']
    images = sorted((tmp_path / 'out' / 'a').iterdir())
    assert [path.name for path in images] == [f'img_{i:05}.jpg' for i in range(1, 21)]
    with VideoReader(source) as reader:
        for i, path in enumerate(images):
            image = cv2.imread(str(path))[..., ::-1]
            assert image.shape == reader[i].shape and np.abs(image.astype(int) - reader[i]).mean() < 8
            assert rotation or number_of(image) == i


def test_smaller_frames_and_never_larger(tmp_path: Path):
    source = write(tmp_path / 'a.mp4', frames=3, size=(96, 64))
    for short_side, shape in ((33, (33, 50, 3)), (200, (64, 96, 3))):
        target = tmp_path / str(short_side)
        extract_frames(Conversion(str(source), str(target), short_side))
        assert cv2.imread(str(target / 'img_00003.jpg')).shape == shape


def listed(root: Path, *names: str, there: bool = True) -> Source:
    for name in names if there else ():
        (root / 'videos' / name).parent.mkdir(parents=True, exist_ok=True)
        (root / 'videos' / name).touch()
    (root / 'videos').mkdir(exist_ok=True)
    (root / 'list.txt').write_text(''.join(f'{name} 0\n' for name in names))
    return read_source(root / 'list.txt', root / 'videos')


def test_where_things_go(tmp_path: Path):
    source = listed(tmp_path, 'a b/c d.mp4', './e.webm', 'e.webm')
    (tmp_path / 'videos' / 'e.webm').unlink()
    assert plan_conversions(source, tmp_path / 'out', frame_folder, 9) == {'a b/c d.mp4': Conversion(
        str(tmp_path / 'videos' / 'a b/c d.mp4'), str(tmp_path / 'out' / 'a_b/c_d'), 9)}
    assert list(plan_conversions(source, tmp_path / 'out', str)) == ['a b/c d.mp4']


@pytest.mark.parametrize('out', ['videos', 'videos/small', 'videos/../videos/a', 'link', 'link/deeper', 'around'])
def test_nothing_is_written_among_the_videos(tmp_path: Path, out: str):
    source = listed(tmp_path, 'a/b.mp4')
    (tmp_path / 'link').symlink_to('videos')
    (tmp_path / 'around').mkdir()
    (tmp_path / 'around' / 'a').symlink_to('../videos/a')
    with pytest.raises(UserError, match='the folder of the videos, where nothing is written'):
        plan_conversions(source, tmp_path / out, str)
    assert os.listdir(tmp_path / 'videos') == ['a']


def test_the_folder_around_the_videos_may_be_written_to(tmp_path: Path):
    assert plan_conversions(listed(tmp_path, 'a/b.mp4'), tmp_path, str)
    source = listed(tmp_path, 'videos/b.mp4')
    with pytest.raises(UserError, match='the folder of the videos'):
        plan_conversions(source, tmp_path, str)


@pytest.mark.parametrize('names, there, message', [
    (['../b.mp4'], True, "'../b.mp4' leads out of"), (['/b.mp4'], False, "'/b.mp4' leads out of"),
    (['a.mp4', 'a.avi'], True, "'a.mp4' and 'a.avi' would both become 'a'"),
    (['a b.mp4', 'a_b.mp4'], True, "would both become 'a_b'"),
    (['a.mp4'], False, "none of the 1 videos of")])
def test_refused_plans(tmp_path: Path, names: list[str], there: bool, message: str):
    source = listed(tmp_path, *names, there=there)
    with pytest.raises(UserError) as caught:
        plan_conversions(source, tmp_path / 'out', frame_folder)
    assert message in str(caught.value) and '\n' not in str(caught.value)
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('content', ['', '{', '[1]', '7', '[' * 100_000, '\xff'])
def test_settings_that_can_not_be_read_are_written_anew(tmp_path: Path, content: str):
    (tmp_path / SETTINGS).write_bytes(content.encode('latin1'))
    require_settings(tmp_path, short_side=256)
    with pytest.raises(UserError, match='short side 256'):
        require_settings(tmp_path, short_side=320)


def test_a_folder_holds_one_kind_of_outputs(tmp_path: Path):
    require_settings(tmp_path, written='videos', short_side=256)
    require_settings(tmp_path, written='videos', short_side=256)
    with pytest.raises(UserError, match=r'made with other settings \(written videos, short side 256\)'):
        require_settings(tmp_path, written='videos', short_side=320)
