"""A check finds what can't be used, and a report spares what was found before."""

from __future__ import annotations

import json
import os
import random
import re
from contextlib import closing
from pathlib import Path

import pytest

from mmext.data.video import VideoReader
from mmext.data.video.container import VideoError
from mmext.data.video.prepare import check as module
from mmext.data.video.prepare.check import FINE, HEADER, MISSING, SHORT, UNREADABLE, Report, check, inspect
from mmext.data.video.prepare.convert import decode_all
from mmext.errors import DiskFull, UserError
from tests.video.clips import KINDS, number_of, write


@pytest.fixture
def videos(tmp_path: Path) -> list[str]:
    """A video of each kind."""
    folder = tmp_path / 'videos'
    folder.mkdir()
    whole = write(folder / 'fine.mp4', frames=20).read_bytes()
    write(folder / 'short.mp4', frames=15)
    (folder / 'cut.mp4').write_bytes(whole[:len(whole) // 2])
    return [str(folder / name) for name in ('fine.mp4', 'short.mp4', 'cut.mp4', 'gone.mp4')]


def run(tmp_path: Path, videos: list[str], decode: bool = False, frames: int = 16) -> tuple[list[str], list[str]]:
    """The kinds of the videos, and the names of those that were looked at."""
    looked = []
    with pytest.MonkeyPatch.context() as patch, closing(Report(tmp_path / 'report.jsonl')) as report:
        patch.setattr(module, 'inspect', lambda job: looked.append(Path(job[0]).name) or inspect(job))
        found = check(videos, report, decode, 0, frames)
    return [found[path].kind(frames) for path in videos], looked


def test_four_kinds(tmp_path: Path, videos: list[str]):
    kinds, looked = run(tmp_path, videos)
    assert kinds == [FINE, SHORT, UNREADABLE, MISSING] and looked == ['fine.mp4', 'short.mp4', 'cut.mp4']
    assert run(tmp_path, videos) == (kinds, [])
    assert run(tmp_path, videos, frames=15) == ([FINE, FINE, UNREADABLE, MISSING], [])
    lines = (tmp_path / 'report.jsonl').read_text().splitlines()
    assert len(lines) == 5, 'nothing is noted twice'
    findings = {Path(line['path']).name: line for line in map(json.loads, lines[1:])}
    assert findings['short.mp4']['frames'] == 15 and findings['gone.mp4']['problem'] == 'missing'


def test_a_known_file_is_asked_for_once(tmp_path: Path, videos: list[str], monkeypatch: pytest.MonkeyPatch):
    run(tmp_path, videos)
    asked, stat = [], os.stat
    monkeypatch.setattr(module.os, 'stat', lambda path, *rest, **more: asked.append(path) or stat(path, *rest, **more))
    assert run(tmp_path, videos)[1] == []
    assert sorted(path for path in asked if path in videos) == sorted(videos[:3]), 'a folder tells what is missing'


def test_changed_removed_and_new_files_are_looked_at_again(tmp_path: Path, videos: list[str]):
    run(tmp_path, videos)
    fine, short, cut, gone = map(Path, videos)
    short.write_bytes(fine.read_bytes())
    state = fine.stat()
    os.utime(fine, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    gone.write_bytes(cut.read_bytes())
    cut.unlink()
    kinds, looked = run(tmp_path, videos)
    assert kinds == [FINE, FINE, MISSING, UNREADABLE] and looked == ['fine.mp4', 'short.mp4', 'gone.mp4']
    assert run(tmp_path, videos) == (kinds, [])


@pytest.mark.parametrize('cut', [1, 30, 'newline'])
def test_a_report_cut_in_a_line(tmp_path: Path, videos: list[str], cut: int | str):
    """Only what the cut line said is found again, and the report is whole from then on."""
    report = tmp_path / 'report.jsonl'
    kinds, looked = run(tmp_path, videos)
    text = report.read_text()
    report.write_text(text[:-1] if cut == 'newline' else text[:-1 - cut])
    again = [] if cut == 'newline' else looked[-1:]
    assert run(tmp_path, videos) == (kinds, again)
    assert run(tmp_path, videos) == (kinds, [])


@pytest.mark.parametrize('length', [0, 5])
def test_a_report_cut_in_its_first_line(tmp_path: Path, videos: list[str], length: int):
    (tmp_path / 'report.jsonl').write_text(module.HEADER[:length])
    assert run(tmp_path, videos)[1] == ['fine.mp4', 'short.mp4', 'cut.mp4']
    assert run(tmp_path, videos)[1] == []


@pytest.mark.parametrize('content', [b'v0.mp4 0\n', b'{"report": "another"}\n', b'\xff\xfe\x00'])
def test_another_file_is_no_report(tmp_path: Path, content: bytes):
    (tmp_path / 'report.jsonl').write_bytes(content)
    with pytest.raises(UserError, match='report.jsonl: not a report of this command; choose another with --report'):
        Report(tmp_path / 'report.jsonl')
    assert (tmp_path / 'report.jsonl').read_bytes() == content


@pytest.mark.parametrize('line', ['[' * 100_000, '7', '{"path": 7}', '{"path": "a", "size": "x"}',
                                  '{"path": "a", "frames": null}', '{"path": "a", "nope": 1}', '{"path": ["a"]}'])
def test_a_line_of_nonsense_says_nothing(tmp_path: Path, line: str):
    (tmp_path / 'report.jsonl').write_text(f'{HEADER}\n{line}\n')
    with closing(Report(tmp_path / 'report.jsonl')) as report:
        assert report.known('a', False) is None and not report.findings


def test_damage_that_only_decoding_shows(tmp_path: Path):
    path = write(tmp_path / 'a.mp4', 'no_b.mp4', frames=40)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle:middle + 2000] = bytes(2000)
    path.write_bytes(content)
    assert run(tmp_path, [str(path)]) == ([FINE], ['a.mp4'])
    assert run(tmp_path, [str(path)], decode=True) == ([UNREADABLE], ['a.mp4'])
    assert run(tmp_path, [str(path)]) == ([UNREADABLE], []), 'what is known is not forgotten'


def test_damage_that_the_codec_covers_up(tmp_path: Path):
    """A few wrong bytes, over which a decoder says nothing but marks the frame."""
    content = write(tmp_path / 'a.mp4', 'mpeg4.mp4', frames=30).read_bytes()
    problems = []
    for seed in range(8):
        draw, damaged = random.Random(seed), bytearray(content)
        start = draw.randrange(len(content) // 5, len(content) // 2)
        damaged[start:start + 40] = draw.randbytes(40)
        (tmp_path / 'b.mp4').write_bytes(damaged)
        problems.append(inspect((str(tmp_path / 'b.mp4'), True)).problem)
    assert any(re.fullmatch(r'frame \d+ is damaged', problem) for problem in problems), problems


def test_fewer_frames_than_the_index_has(tmp_path: Path):
    with VideoReader(write(tmp_path / 'a.mp4', frames=20)) as reader:
        assert len(list(decode_all(reader))) == 20 and number_of(reader[7]) == 7
        reader.frames = 21
        with pytest.raises(VideoError, match='truncated: 20 of 21 frames'):
            list(decode_all(reader))


@pytest.mark.parametrize('kind', KINDS)
def test_decoding_finds_nothing_wrong_in_whole_files(tmp_path: Path, kind: str):
    finding = inspect((str(write(tmp_path / kind, kind, frames=20)), True))
    assert finding.kind(20) == FINE and finding.decoded, finding


def test_a_file_whose_reading_crashes_is_tried_again_next_time(tmp_path: Path, videos: list[str],
                                                               monkeypatch: pytest.MonkeyPatch):
    def crash(job: tuple[str, bool]) -> None:
        raise MemoryError('too large')

    with closing(Report(tmp_path / 'report.jsonl')) as report:
        monkeypatch.setattr(module, 'inspect', crash)
        finding = check(videos[:1], report, False, 0, 16)[videos[0]]
    assert (finding.kind(16), finding.problem) == (UNREADABLE, 'MemoryError: too large')
    assert run(tmp_path, videos[:1]) == ([FINE], ['fine.mp4'])


def test_a_report_on_a_disk_that_is_full_from_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    # Only the file is on the full disk: a read of /dev/full would never end. Closing it would raise once more.
    full = Path('/dev/full').open('w', buffering=1)  # noqa: SIM115
    full.truncate = lambda size: None  # a device has no size
    monkeypatch.setattr(Path, 'open', lambda *args, **kwargs: full)
    with pytest.raises(DiskFull, match='report.jsonl: no space left'):
        Report(tmp_path / 'report.jsonl')
