"""Label files and video folders with every mistake that they can have."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from mmengine.registry import DATASETS

import mmext  # noqa: F401  registers the names
from mmext.data.unreadable import read_log
from mmext.data.video.lists import read_frame_list
from mmext.engine import cli
from mmext.errors import UserError
from mmext.video.datasets import SthV2Dataset, VideoDataset
from tests.video.clips import number_of, write

TEMPLATES = {'Pushing something': '1', 'Holding something next to something': '0', 'Dropping something': '2'}
PIPELINE = [dict(type='mmext.OpenVideo', on_error='skip'), dict(type='mmaction.SampleFrames', clip_len=4),
            dict(type='mmext.DecodeVideo', on_error='skip')]


def put(root: Path, lines: str, videos: int = 3) -> str:
    """A list file and empty videos v0.mp4, v1.mp4 ... in a folder beside it."""
    (root / 'videos').mkdir(exist_ok=True)
    for i in range(videos):
        (root / 'videos' / f'v{i}.mp4').touch()
    (root / 'list.txt').write_text(lines)
    return str(root / 'list.txt')


def data(root: Path, lines: str = 'v0.mp4 0\nv1.mp4 2\n\nv2.mp4 1\n', **options) -> VideoDataset:
    path = put(root, lines, options.pop('videos', 3))
    return VideoDataset(path, data_prefix=dict(video=str(root / 'videos')), **options)


def test_a_list_file(tmp_path: Path):
    videos = data(tmp_path, num_classes=3)
    info = videos.get_data_info(1)
    assert len(videos) == 3 and info['label'] == 2 and info['start_index'] == 0 and info['modality'] == 'RGB'
    assert info['filename'] == str(tmp_path / 'videos' / 'v1.mp4')


def test_paths_below_the_data_root_and_with_spaces(tmp_path: Path):
    (tmp_path / 'videos' / 'a b').mkdir(parents=True)
    (tmp_path / 'videos' / 'a b' / 'c d.mp4').touch()
    put(tmp_path, 'a b/c d.mp4 7\n', 0)
    config = dict(type='mmext.VideoDataset', ann_file='list.txt', data_root=str(tmp_path),
                  data_prefix=dict(video='videos'))
    info = DATASETS.build(config).get_data_info(0)
    assert Path(info['filename']).is_file() and info['label'] == 7


@pytest.mark.parametrize('lines, message', [
    ('v0.mp4 0\nv1.mp4\n', "list.txt: line 2: 'v1.mp4' has no label"),
    ('v0.mp4 x\n', "line 1: the label 'x' is not an integer"), ('v0.mp4 1.5\n', "the label '1.5' is not an integer"),
    ('v0.mp4 3\n', 'line 1: label 3 is not in 0 to 2'), ('v0.mp4 -1\n', 'line 1: label -1 is not in 0 to 2'),
    ('\n\n', 'list.txt: no lines')])
def test_broken_list_files(tmp_path: Path, lines: str, message: str):
    with pytest.raises(UserError) as caught:
        data(tmp_path, lines, num_classes=3)
    assert message in str(caught.value) and '\n' not in str(caught.value)


@pytest.mark.parametrize('frames', ['²', '0', '-1', '1e3', '９', '9' * 30, '1.5'])
def test_numbers_of_frames(tmp_path: Path, frames: str):
    (tmp_path / 'list.txt').write_text(f'v0 {frames} 0\n')
    with pytest.raises(UserError, match='entry 1: .* has no number of frames'):
        read_frame_list(tmp_path / 'list.txt')


def test_a_label_that_would_make_too_many_classes(tmp_path: Path):
    with pytest.raises(UserError, match='line 1: label 1000000000 would need as many classes'):
        data(tmp_path, 'v0.mp4 1000000000\n')


def test_labels_are_below_the_number_of_named_classes(tmp_path: Path):
    with pytest.raises(UserError, match='label 2 is not in 0 to 1'):
        data(tmp_path, metainfo=dict(classes=('a', 'b')))


def test_missing_label_file_and_folder(tmp_path: Path):
    with pytest.raises(UserError, match='none.txt: no such label file'):
        VideoDataset(str(tmp_path / 'none.txt'))
    with pytest.raises(UserError, match='nowhere: no such video folder'):
        VideoDataset(put(tmp_path, 'v0.mp4 0'), data_prefix=dict(video=str(tmp_path / 'nowhere')))


def test_missing_videos(tmp_path: Path):
    lines = ''.join(f'v{i}.mp4 0\n' for i in range(20))
    videos = data(tmp_path, lines, videos=18)
    assert len(videos) == 18 and [Path(path).name for path in videos.missing] == ['v18.mp4', 'v19.mp4']
    with pytest.raises(UserError, match=r'2 of the 20 videos .* missing \(v18.mp4, v19.mp4\); restore them'):
        data(tmp_path, lines, videos=18, test_mode=True)
    assert len(data(tmp_path, lines, videos=18, test_mode=True, on_missing='skip')) == 18
    with pytest.raises(UserError, match='more than max_unreadable=0.05'):
        data(tmp_path, lines, videos=18, max_unreadable=0.05)
    with pytest.raises(UserError, match='20 of the 20'):
        VideoDataset(str(tmp_path / 'list.txt'), data_prefix=dict(video=str(tmp_path)), max_unreadable=1.0)


def mixed(root: Path, readable: int, empty: int, **options) -> VideoDataset:
    """Videos of which the last ones are empty."""
    videos = data(root, ''.join(f'v{i}.mp4 {i}\n' for i in range(readable + empty)), videos=readable + empty,
                  pipeline=[dict(step) for step in PIPELINE], **options)
    whole = write(root / 'whole.mp4', frames=6).read_bytes()
    for i in range(readable):
        (root / 'videos' / f'v{i}.mp4').write_bytes(whole)
    return videos


def test_training_goes_on_without_unreadable_videos(tmp_path: Path):
    videos = mixed(tmp_path, 2, 1, max_unreadable=1.0)
    log = str(tmp_path / 'log.txt')
    videos.pipeline.transforms[0].log_file = log
    for _ in range(3):
        drawn = videos[2]
        assert drawn['label'] in (0, 1) and number_of(drawn['imgs'][0]) < 6
    assert read_log(log) == {str(tmp_path / 'videos' / 'v2.mp4'): 'empty file'}


def test_too_many_unreadable_videos_stop_the_run(tmp_path: Path):
    videos = mixed(tmp_path, 9, 11, max_unreadable=0.5)
    with pytest.raises(UserError, match=r'11 of the 20 videos tried are unreadable, more than max_unreadable=0.5'):
        for i in range(20):
            videos.count_result(videos.prepare_data(i) is None)
    assert videos.tried == 20
    (tmp_path / 'none').mkdir()
    videos = mixed(tmp_path / 'none', 0, 3, max_unreadable=1.0, max_refetch=5)
    with pytest.raises(UserError, match='6 videos drawn one after the other were unreadable'):
        videos[0]


def test_a_share_that_is_allowed_does_not_stop_the_run(tmp_path: Path):
    videos = mixed(tmp_path, 9, 1, max_unreadable=0.6)
    assert all(videos[i % 10] is not None for i in range(40)) and videos.failed >= 4


def test_a_test_does_not_leave_out(tmp_path: Path):
    videos = mixed(tmp_path, 1, 1, test_mode=True)
    assert videos[0]['label'] == 0
    with pytest.raises(UserError, match='v1.mp4: left out by the pipeline'):
        videos[1]


def test_a_worker_process_tells_in_one_line(tmp_path: Path):
    videos = mixed(tmp_path, 1, 1, test_mode=True)
    for step in videos.pipeline.transforms[::2]:
        step.on_error = 'raise'
    loader = torch.utils.data.DataLoader(videos, batch_size=None, num_workers=1)
    with pytest.raises(UserError) as caught:
        list(loader)
    assert cli.message(caught.value).startswith(str(tmp_path / 'videos' / 'v1.mp4: unreadable video (empty file)'))


def something(root: Path, entries: object = None, templates: object = TEMPLATES, **options) -> SthV2Dataset:
    """Something-Something's files as they are downloaded."""
    (root / 'videos').mkdir(exist_ok=True)
    for name in ('78687', '42326'):
        (root / 'videos' / f'{name}.webm').touch()
    if entries is None:
        entries = [dict(id='78687', label='holding potato next to vicks vaporub bottle', placeholders=['potato'],
                        template='Holding [something] next to [something]'),
                   dict(id='42326', label='pushing a box', template='Pushing [something]', placeholders=['a box'])]
    (root / 'train.json').write_text(json.dumps(entries))
    (root / 'labels.json').write_text(json.dumps(templates))
    return SthV2Dataset('train.json', data_root=str(root), data_prefix=dict(video='videos'), **options)


def test_something_something(tmp_path: Path):
    videos = something(tmp_path)
    assert [videos.get_data_info(i)['label'] for i in range(2)] == [0, 1]
    assert videos.get_data_info(0)['filename'] == str(tmp_path / 'videos' / '78687.webm')
    assert videos.metainfo['classes'] == tuple(sorted(TEMPLATES, key=TEMPLATES.get))


@pytest.mark.parametrize('options, message', [
    (dict(entries={}), 'train.json: not a label file of Something-Something'),
    (dict(entries=[dict(id='1')]), 'train.json: [0] has no template; test.json has no labels, use validation.json'),
    (dict(entries=[dict(template='x')]), 'train.json: [0] has no id'),
    (dict(entries=[dict(id='1', template='Pushin [something]')]),
     "(id 1): its template 'Pushin something' is not in labels.json; did you mean 'Pushing something'?"),
    (dict(templates=[]), 'labels.json: not the labels.json'),
    (dict(templates={'Pushing something': 'x'}), "labels.json: the label 'x' is not a number"),
    *((dict(templates={'Pushing something': label}), f'the label {label!r} is not a number')
      for label in (1.5, True, None, [1], {}, '²', float('inf'), -1.0)),
    *((dict(entries=[dict(id=name, template='Pushing [something]')]), f'[0]: its id {name!r} is neither text nor')
      for name in (None, True, 1.5, [1], {}, '', ' ', 'a\0')),
    *((dict(entries=[dict(id=1, template=text)]), f'[0] (id 1): its template {text!r} is not text')
      for text in (None, 7, ['x'], {})),
    (dict(templates={'Pushing something': '1', 'b': '2'}), 'labels.json: its 2 labels are not 0 to 1'),
    (dict(num_classes=174), 'labels.json: 3 classes, but num_classes is 174'),
    (dict(entries=[dict(id=str(i), template='Pushing [something]') for i in range(3)]), '3 of the 3 videos')])
def test_broken_something_something(tmp_path: Path, options: dict, message: str):
    with pytest.raises(UserError) as caught:
        something(tmp_path, **options)
    assert message in str(caught.value) and '\n' not in str(caught.value)


def test_json_cut_short(tmp_path: Path):
    something(tmp_path)
    (tmp_path / 'train.json').write_text('[{"id": "78')
    with pytest.raises(UserError, match='train.json: not JSON, or cut short'):
        SthV2Dataset('train.json', data_root=str(tmp_path), data_prefix=dict(video='videos'))


def test_some_of_the_named_classes_need_lists_of_their_own(tmp_path: Path):
    (tmp_path / 'classes.txt').write_text('running\njumping\nsleeping\n')
    with pytest.raises(UserError, match='it names 3 classes, and --classes only 2; list files have numbers'):
        data(tmp_path, data_root=str(tmp_path), metainfo=dict(classes=('running', 'sleeping')))
