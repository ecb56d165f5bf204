"""Finds the videos of a data set that training can't use; its report lets an interrupted check continue."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Collection
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import cast

from mmext.data.video.container import VideoError
from mmext.data.video.lists import missing_files
from mmext.data.video.prepare.convert import decode_all
from mmext.data.video.reader import VideoReader
from mmext.errors import UserError
from mmext.files import disk_full_told, parse_json, read_text
from mmext.screen import progress
from mmext.workers import Crash, in_threads

HEADER = json.dumps(dict(report='tools/prepare_video.py check', version=1))
MISSING, UNREADABLE, SHORT, FINE = 'missing', 'unreadable', 'too short', 'fine'


@dataclass(frozen=True)
class Finding:
    """What is known about a video file.

    Args:
        path: absolute.
        size: in bytes; None where there is no file.
        mtime_ns: time of its last modification, in nanoseconds.
        frames: number of frames; 0 if it is unreadable.
        decoded: whether all frames were decoded.
        problem: why it is unreadable, 'missing', or ''.
    """

    path: str
    size: int | None = None
    mtime_ns: int | None = None
    frames: int = 0
    decoded: bool = False
    problem: str = ''

    def has_valid_types(self) -> bool:
        """Whether each field has its type; a line of a report may have any."""
        return (isinstance(self.path, str) and isinstance(self.problem, str) and isinstance(self.decoded, bool)
                and type(self.frames) is int and all(type(value) in (int, type(None))
                                                     for value in (self.size, self.mtime_ns)))

    def kind(self, frames: int) -> str:
        """'missing', 'unreadable', 'too short' or 'fine', for a recognizer that needs so many frames."""
        if self.problem:
            return MISSING if self.size is None else UNREADABLE
        return SHORT if self.frames < frames else FINE

    def is_current(self, decode: bool) -> bool:
        """Whether the file is unchanged, and was checked as thoroughly as ``decode`` asks for; calls ``os.stat``."""
        if self.size is None or not (self.decoded or self.problem or not decode):
            return False
        try:
            now = os.stat(self.path)
        except OSError:
            return False
        return (now.st_size, now.st_mtime_ns) == (self.size, self.mtime_ns)


def inspect(job: tuple[str, bool]) -> Finding:
    """Checks one file.

    Args:
        job: the path, and whether all frames are decoded; otherwise the index is read and the first frame decoded.
    """
    path, decode = job
    try:
        state = os.stat(path)
    except OSError:
        return Finding(path, problem=MISSING)
    try:
        with VideoReader(path) as reader:
            reader.images([0])
            if decode:
                for _ in decode_all(reader):
                    pass
            return Finding(path, state.st_size, state.st_mtime_ns, len(reader), decode)
    except VideoError as error:
        return Finding(path, state.st_size, state.st_mtime_ns, problem=error.reason)


def check(paths: Collection[str], report: Report, decode: bool, workers: int, frames: int) -> dict[str, Finding]:
    """Checks files; those that the report has findings of, and that have not changed since, are not opened.

    Args:
        paths: absolute.
        report: findings of earlier checks; new ones are added as they come.
        decode: decode every frame of each file.
        workers: number of processes; 0 checks in this one.
        frames: how many a video needs; the progress bar counts those with fewer.

    Returns:
        The findings by path.
    """
    found = {path: Finding(path, problem=MISSING) for path in missing_files(paths)}
    for finding in found.values():
        report.add(finding)
    present = [path for path in paths if path not in found]
    known = {finding.path: finding for finding in in_threads(partial(report.known, decode=decode), present) if finding}
    if known:
        print(f'already in {report.path}: {len(known)} of {len(found) + len(present)} videos')
    found |= known

    def trouble_of(finding: Finding | Crash) -> str | None:
        kind = UNREADABLE if isinstance(finding, Crash) else finding.kind(frames)
        return None if kind == FINE else kind

    jobs = [(path, decode) for path in present if path not in found]
    for (path, _), finding in progress(inspect, jobs, workers, 'checking', trouble_of):
        if isinstance(finding, Crash):
            finding = Finding(path, 0, problem=finding.reason)  # not for the report: the next check may succeed
        else:
            report.add(finding)
        found[path] = finding
    return found


class Report:
    """Findings in a file of JSON lines, each written at once; of several lines on one file the last one counts.

    Args:
        path: of the report, which is created if there is none.

    Raises:
        UserError: the file is not such a report, or can't be written.
        DiskFull: there is no space left.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.findings: dict[str, Finding] = {}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self.path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            text = read_text(self.path, 'report') if self.path.is_file() else ''
            if not HEADER.startswith(text.partition('\n')[0]):
                raise ValueError
            self.file = self.path.open('a', encoding='utf-8', buffering=1)
        except OSError as error:
            raise UserError(f"{path}: can't write there ({error.strerror}); choose another with --report") from None
        except (ValueError, UserError):
            raise UserError(f'{path}: not a report of this command; choose another with --report') from None
        with disk_full_told(self.path):
            if not text.startswith(HEADER + '\n'):
                self.file.truncate(0)
                self.file.write(HEADER + '\n')
            elif not text.endswith('\n'):
                self.file.write('\n')  # the last line is incomplete
        for line in text.splitlines()[1:]:
            self.read_line(line)

    def read_line(self, line: str) -> None:
        """Reads a finding; a line that an interruption left incomplete is ignored."""
        try:
            finding = Finding(**cast(dict, parse_json(line)))
        except (ValueError, TypeError):
            return
        if not finding.has_valid_types():
            return
        self.findings[finding.path] = finding

    def add(self, finding: Finding) -> None:
        """Writes a finding, unless the report has it already. DiskFull: there is no space left."""
        if self.findings.get(finding.path) != finding:
            self.findings[finding.path] = finding
            with disk_full_told(self.path):
                self.file.write(json.dumps(asdict(finding)) + '\n')

    def known(self, path: str, decode: bool) -> Finding | None:
        """An earlier check's finding about a file, if it is still current; else None."""
        finding = self.findings.get(path)
        return finding if finding is not None and finding.is_current(decode) else None

    def close(self) -> None:
        """Closes the report's file. DiskFull: there is no space left for what was not written yet."""
        with disk_full_told(self.path):
            self.file.close()
