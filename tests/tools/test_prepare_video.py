"""tools/prepare_video.py as a user types it: what it prints, what it writes, how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mmaction.datasets import RawframeDataset

from mmext.data.video import VideoReader
from mmext.video.datasets import VideoDataset
from tests.conftest import ROOT, error_line
from tests.tools.helpers import here, succeeded
from tests.video.clips import write

LIST = 'a b/fine.mp4 0\na b/short.mp4 1\n\ncut.mp4 1\ngone.mp4 0\nother.mp4 2\n'


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A list file, and videos of which one is fine in every way and one is large."""
    videos = tmp_path / 'videos'
    (videos / 'a b').mkdir(parents=True)
    whole = write(videos / 'a b' / 'fine.mp4', frames=20, size=(64, 48)).read_bytes()
    write(videos / 'a b' / 'short.mp4', frames=7)
    (videos / 'cut.mp4').write_bytes(whole[:len(whole) // 2])
    write(videos / 'other.mp4', frames=18, size=(128, 96))
    (tmp_path / 'list.txt').write_text(LIST)
    return tmp_path


def prepare(command: str, *arguments: object, workers: int = 0) -> subprocess.CompletedProcess:
    return here('prepare_video.py', command, *arguments, *(() if command == 'lists' else ('--workers', workers)))


def rows(done: subprocess.CompletedProcess, code: int = 1) -> dict[str, tuple[int, str]]:
    """The printed table: kind -> how many, the first lines of which."""
    assert done.returncode == code, done.stdout + done.stderr
    cells = [[cell.strip() for cell in line.strip('│').split('│')] for line in done.stdout.splitlines() if '│' in line]
    return {row[0]: (int(row[1]), ''.join(row[2:])) for row in cells if row[0]}


@pytest.mark.parametrize('workers', [0, 2])
def test_check(data: Path, workers: int):
    command = ('check', data / 'list.txt', '--videos', data / 'videos', '--report', data / 'new' / 'report.jsonl',
               '--write-list', data / 'good' / 'fine.txt')
    done = prepare(*command, workers=workers)
    assert rows(done) == {
        'fine': (2, ''), 'missing': (1, 'gone.mp4'), 'too short': (1, 'a b/short.mp4: 7 of 16 frames'),
        'unreadable': (1, rows(done)['unreadable'][1])}
    assert rows(done)['unreadable'][1].startswith('cut.mp4: not a video, or damaged')
    assert 'list: ' in done.stdout and '2 of the 5 entries' in done.stdout and not done.stderr
    assert (data / 'good' / 'fine.txt').read_text() == 'a b/fine.mp4 0\nother.mp4 2\n'
    assert (data / 'list.txt').read_text() == LIST

    again = prepare(*command, '--frames', 7, workers=workers)
    assert '4 of 5 videos' in again.stdout and rows(again)['fine'][0] == 3
    fine = prepare('check', data / 'good' / 'fine.txt', '--videos', data / 'videos', '--report', data / 'r', '--decode',
                   '--frames', 7)
    assert rows(fine, 0)['fine'] == (3, '')


def test_check_of_something_something(data: Path):
    entries = [dict(id=name, template='Pushing [something]', label='pushing it') for name in ('other', 'gone', 'cut')]
    (data / 'train.json').write_text(json.dumps(entries))
    (data / 'labels.json').write_text(json.dumps({'Pushing something': '0'}))
    command = ('check', data / 'train.json', '--videos', data / 'videos', '--report', data / 'r', '--suffix', '.mp4')
    done = prepare(*command, '--write-list', data / 'fine.json')
    assert {kind: number for kind, (number, _) in rows(done).items()} == {
        'fine': 1, 'missing': 1, 'unreadable': 1, 'too short': 0}
    assert json.loads((data / 'fine.json').read_text()) == entries[:1]
    (data / 'labels.json').rename(data / 'names.json')
    assert 'labels.json: no such label file' in error_line(prepare(*command))
    assert rows(prepare(*command, '--label-file', data / 'names.json'))['fine'][0] == 1


def test_no_list_of_nothing(data: Path):
    (data / 'list.txt').write_text('gone.mp4 0\n')
    done = prepare('check', data / 'list.txt', '--videos', data / 'videos', '--report', data / 'r', '--write-list',
                   data / 'fine.txt')
    assert rows(done)['missing'] == (1, 'gone.mp4') and 'list: none' in done.stdout
    assert not (data / 'fine.txt').exists()


def test_lists_of_training_and_validation(data: Path):
    videos = data / 'kinetics'
    for name in ('making snowman, outside/x_000001_000011.mp4', 'air_drumming/y_000000_000010.mkv', 'z_3_13.mp4'):
        (videos / name).parent.mkdir(parents=True, exist_ok=True)
        write(videos / name, 'h264.mp4', frames=5)
    head = 'label,youtube_id,time_start,time_end,split,is_cc\n'
    (data / 'train.csv').write_text(head + '"making snowman, outside",x,1,11,train,0\nair drumming,y,0,10,train,0\n'
                                    'yoga,gone,5,15,train,0\n')
    (data / 'val.csv').write_text(head + 'yoga,z,3,13,validate,0\n')
    printed = succeeded(prepare('lists', data / 'train.csv', '--videos', videos, '--out', data / 'out' / 'train.txt'))
    assert (data / 'out' / 'train.txt').read_text() == (
        'making snowman, outside/x_000001_000011.mp4 1\nair_drumming/y_000000_000010.mkv 0\n')
    assert (data / 'out' / 'classes.txt').read_text() == 'air drumming\nmaking snowman, outside\nyoga\n'
    assert '1 of the 3 rows have no file' in printed and 'gone_000005_000015' in printed
    assert '1 video in' in printed and 'z_3_13.mp4' in printed and 'paths have spaces' in printed

    command = ('lists', data / 'val.csv', '--videos', videos, '--out', data / 'out' / 'val.txt')
    assert 'its split is validate; give the training\'s class list with --classes' in error_line(prepare(*command))
    succeeded(prepare(*command, '--classes', data / 'out' / 'classes.txt'))
    assert (data / 'out' / 'val.txt').read_text() == 'z_3_13.mp4 2\n'
    infos = VideoDataset(str(data / 'out' / 'train.txt'), data_prefix=dict(video=str(videos)), num_classes=3)
    assert [infos.get_data_info(i)['label'] for i in range(2)] == [1, 0]


def test_resize(data: Path):
    command = ('resize', data / 'list.txt', '--videos', data / 'videos', '--short-side', 64, '--out', data / 'small')
    done = prepare(*command, workers=2)
    assert {kind: number for kind, (number, _) in rows(done).items()} == {
        'done': 1, 'copied': 2, 'missing': 1, 'unreadable': 1}
    with VideoReader(data / 'small' / 'other.mp4') as reader:
        assert reader.size == (64, 86) and len(reader) == 18
    assert not (data / 'small' / 'cut.mp4').exists()
    assert rows(prepare(*command))['there already'] == (3, '')
    assert 'short side 64' in error_line(prepare(*command, '--short-side', 32))
    assert rows(prepare('resize', data / 'small', '--short-side', 32, '--out', data / 'tiny'), 0)['done'] == (3, '')


def test_frames(data: Path):
    command = ('frames', data / 'list.txt', '--videos', data / 'videos', '--out', data / 'frames', '--short-side', 32)
    assert rows(prepare(*command))['done'] == (3, '')
    assert (data / 'frames' / 'list.txt').read_text() == 'a_b/fine 20 0\na_b/short 7 1\nother 18 2\n'
    assert rows(prepare(*command))['there already'] == (3, '')
    assert (data / 'frames' / 'list.txt').read_text() == 'a_b/fine 20 0\na_b/short 7 1\nother 18 2\n'
    frames = RawframeDataset(str(data / 'frames' / 'list.txt'), [], data_prefix=dict(img=str(data / 'frames')))
    for info in map(frames.get_data_info, range(len(frames))):
        names = [info['frame_dir'] + '/' + frames.filename_tmpl.format(i) for i in range(1, info['total_frames'] + 1)]
        assert all(map(os.path.isfile, names)) and len(os.listdir(info['frame_dir'])) == info['total_frames']
    assert rows(prepare('frames', data / 'videos', '--out', data / 'all'))['unreadable'][0] == 1
    assert sorted(os.listdir(data / 'all')) == ['.prepare_video.json', 'a_b', 'other']


def test_mistakes(data: Path):
    def refused(*arguments: object) -> str:
        return error_line(prepare(*arguments))

    one, videos, report = data / 'list.txt', data / 'videos', ('--report', data / 'report.jsonl')
    there = ('--videos', videos)
    assert 'none.txt: no such label file' in refused('check', data / 'none.txt', *there, *report)
    assert 'give the folder that its names start from with --videos' in refused('check', one, *report)
    assert 'nowhere: no such video folder' in refused('check', one, '--videos', data / 'nowhere', *report)
    assert 'list.txt: not a folder' in refused('check', one, '--videos', one, *report)
    assert '--frames 0: need 1 or more' in refused('check', one, *there, '--frames', 0)
    assert 'list.txt: --report would overwrite it' in refused('check', one, *there, '--report', one)
    assert 'list.txt: --write-list would overwrite it' in refused('check', one, *there, *report, '--write-list', one)
    assert '--write-list: of one LIST' in refused('check', one, one, *there, *report, '--write-list', data / 'x')
    assert "can't write there" in refused('check', one, *there, *report, '--write-list', videos)
    assert "can't write there" in refused('check', one, *there, '--report', one / 'report')
    assert "can't write there" in refused('check', one, *there, '--report', videos)
    assert not (data / 'report.jsonl').exists()
    assert 'a folder; --videos' in refused('resize', videos, *there, '--out', data / 'x', '--short-side', 32)
    for number in (255, 0):
        assert f'--short-side {number}: need an even number' in refused('resize', videos, '--out', data / 'x',
                                                                        '--short-side', number)
    assert '--short-side 0: need 1 or more' in refused('frames', videos, '--out', data / 'x', '--short-side', 0)
    assert 'where nothing is written' in refused('resize', videos, '--out', videos, '--short-side', 32)
    assert 'where nothing is written' in refused('frames', one, *there, '--out', videos / 'frames')
    assert "can't write there" in refused('frames', one, *there, '--out', one)
    assert 'list.txt: --out would overwrite it' in refused('frames', one, *there, '--out', data)
    assert 'no videos in there' in refused('resize', ROOT / 'docs', '--out', data / 'x', '--short-side', 32)
    assert '--workers -1: need 0 or more' in error_line(here('prepare_video.py', 'check', one, *there, '--workers', -1))
    assert one.read_text() == LIST


def test_mistakes_in_lists(data: Path):
    (data / 'k.csv').write_text('label,youtube_id,time_start,time_end,split\nb,x,0,1,train\na,y,0,1,train\n')

    def refused(*arguments: object) -> str:
        return error_line(prepare('lists', data / 'k.csv', *arguments))

    out, there = ('--out', data / 'k.txt'), ('--videos', data / 'videos')
    assert 'none of the 2 rows' in refused(*out, *there) and 'b/x_000000_000001.mp4' in refused(*out, *there)
    write(data / 'videos' / 'x.mp4', frames=3)
    assert 'no such video folder' in refused(*out, '--videos', data / 'none')
    assert 'k.csv: --out would overwrite it' in refused('--out', data / 'k.csv', *there)
    assert 'classes.txt: --out would overwrite it' in refused('--out', data / 'classes.txt', *there)
    (data / 'classes.txt').write_text('b\nc\n')
    assert "classes.txt: is there, with other classes than the 2 of this CSV" in refused(*out, *there)
    assert "'a': not in the class list" in refused(*out, *there, '--classes', data / 'classes.txt')
    assert not (data / 'k.txt').exists() and (data / 'classes.txt').read_text() == 'b\nc\n'


def heed_ctrl_c() -> None:
    """A shell has what it runs in the background ignore it, and so do all that are started from there."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_an_interrupted_check_goes_on(data: Path):
    """Ctrl-C ends it in one line, and what was found until then is not looked for again."""
    for i in range(400):
        os.link(data / 'videos' / 'other.mp4', data / 'videos' / f'v{i}.mp4')
    (data / 'list.txt').write_text(''.join(f'v{i}.mp4 0\n' for i in range(400)))
    report = data / 'report.jsonl'
    command = ('check', data / 'list.txt', '--videos', data / 'videos', '--report', report)
    process = subprocess.Popen([sys.executable, 'tools/prepare_video.py', *map(str, command), '--workers', '1'],
                               cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               preexec_fn=heed_ctrl_c)
    while process.poll() is None and not (report.exists() and report.read_text().count('\n') > 5):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, '', 'stopped\n')
    found = report.read_text().count('\n') - 1
    assert 5 <= found < 400
    done = prepare(*command)
    known = re.search(r'(\d+) of 400 videos', done.stdout)
    assert known and int(known[1]) == found and rows(done, 0)['fine'] == (400, '')
