"""The pipeline's two steps among mmaction2's, and what becomes of a video that can't be read."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from mmaction.datasets.transforms import DecordDecode, DecordInit, SampleFrames, UniformSample

from mmext.data.unreadable import read_log
from mmext.errors import UserError
from mmext.video.transforms import DecodeVideo, OpenVideo
from tests.video.clips import copy, number_of, write


def run(transforms: list, path: Path, **results) -> dict | None:
    results['filename'] = str(path)
    for transform in transforms:
        if results is not None:
            results = transform(results)
    return results


def test_frames_and_keys_are_those_of_decord(tmp_path: Path):
    """Colours too, to the bit: both convert with the same library."""
    path = write(tmp_path / 'a.mp4')
    sample = SampleFrames(clip_len=4, frame_interval=3, num_clips=3, test_mode=True)
    ours = run([OpenVideo(), sample, DecodeVideo()], path)
    theirs = run([DecordInit(), sample, DecordDecode()], path, start_index=0)
    assert set(ours) == set(theirs)
    for key in ('total_frames', 'original_shape', 'img_shape', 'video_reader', 'avg_fps'):
        assert ours[key] == theirs[key], key
    assert np.array_equal(ours['frame_inds'], theirs['frame_inds'])
    assert len(ours['imgs']) == 12 and np.array_equal(ours['imgs'], theirs['imgs'])


@pytest.mark.parametrize('sample', [dict(), dict(num_clips=10, test_mode=True), dict(out_of_bound_opt='repeat_last')])
def test_fewer_frames_than_the_clip_needs(tmp_path: Path, sample: dict):
    path = write(tmp_path / 'a.mp4', frames=7)
    results = run([OpenVideo(), SampleFrames(16, 2, **sample), DecodeVideo()], path)
    numbers = [number_of(image) for image in results['imgs'][:16]]
    expected = [min(2 * i, 6) if 'out_of_bound_opt' in sample else 2 * i % 7 for i in range(16)]
    assert numbers == expected and len(results['imgs']) == 16 * sample.get('num_clips', 1)


def test_uniform_sampling(tmp_path: Path):
    path = write(tmp_path / 'a.webm', 'vp9.webm')
    results = run([OpenVideo(), UniformSample(clip_len=8, test_mode=True), DecodeVideo()], path)
    assert [number_of(image) for image in results['imgs']] == results['frame_inds'].tolist()
    assert results['clip_len'] == 8


def test_boxes_are_scaled(tmp_path: Path):
    boxes = dict(gt_bboxes=np.array([[0, 0.5, 0.5, 1]]), proposals=None)
    results = run([OpenVideo(short_side=24), DecodeVideo()], write(tmp_path / 'a.mp4', frames=5),
                  frame_inds=np.array([[1, 1]]), **boxes)
    assert results['img_shape'] == (24, 32) and results['proposals'] is None
    assert results['gt_bboxes'].tolist() == [[0, 12, 16, 24]]


def cut(path: Path) -> Path:
    """A video with its table at the front, and half of it."""
    copy(write(path.with_name('whole.mp4')), path, movflags='faststart')
    path.write_bytes(path.read_bytes()[:8000])
    return path


def damaged(path: Path) -> Path:
    """A video that opens, but has nothing to decode."""
    with av.open(str(write(path, 'mpeg4.mp4'))) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    content = bytearray(path.read_bytes())
    for place, size in places:
        content[place:place + size] = bytes(size)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize('make', [lambda path: path, lambda path: path.touch() or path, cut, damaged])
def test_unreadable_videos(tmp_path: Path, make):
    path, log = make(tmp_path / 'a.mp4'), str(tmp_path / 'log.txt')
    transforms = [OpenVideo(), SampleFrames(clip_len=8), DecodeVideo()]
    with pytest.raises(UserError, match='a.mp4: unreadable video') as caught:
        run(transforms, path)
    assert '\n' not in str(caught.value) and '--skip-unreadable' in str(caught.value)
    assert type(caught.value) is UserError, 'the commands look for this name in what a worker process says'
    for transform in transforms[::2]:
        transform.on_error, transform.log_file = 'skip', log
    assert run(transforms, path) is None
    (name, reason), = read_log(log).items()
    assert name == str(path) and f'({reason})' in str(caught.value)


def test_the_reader_is_closed(tmp_path: Path):
    opened = OpenVideo()(dict(filename=str(write(tmp_path / 'a.mp4', frames=5))))
    reader = opened['video_reader']
    DecodeVideo()({**opened, 'frame_inds': np.array([1])})
    with pytest.raises((AssertionError, ValueError)):
        next(reader.container.demux(reader.stream))


@pytest.mark.parametrize('step', [OpenVideo, DecodeVideo])
def test_a_mistyped_option(step):
    with pytest.raises(UserError, match="on_error='ignore' is none of"):
        step(on_error='ignore')
