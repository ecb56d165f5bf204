"""Which videos of a data set training can't use, and a report that goes on where it was interrupted."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from mmext.data.video.container import VideoError
from mmext.data.video.lists import missing_files
from mmext.data.video.prepare.convert import decode_through
from mmext.data.video.reader import VideoReader
from mmext.errors import UserError
from mmext.files import disk_full_told, parse_json, read_text
from mmext.screen import progress
from mmext.workers import Crash

HEADER = json.dumps(dict(report='tools/prepare_video.py check', version=1))
MISSING, UNREADABLE, SHORT, FINE = 'missing', 'unreadable', 'too short', 'fine'


@dataclass(frozen=True)
class Finding:
    """What is known of a file.

    Args:
        path: absolute.
        size: in bytes; None where there is no file.
        mtime_ns: when it was changed.
        frames: how many it has; 0 if it is unreadable.
        decoded: whether all of them were decoded.
        problem: why it is unreadable, 'missing', or ''.
    """

    path: str
    size: int | None = None
    mtime_ns: int | None = None
    frames: int = 0
    decoded: bool = False
    problem: str = ''

    def sound(self) -> bool:
        """Whether each field, as a report's line may have it, is of its type."""
        return (isinstance(self.path, str) and isinstance(self.problem, str) and isinstance(self.decoded, bool)
                and type(self.frames) is int and all(type(value) in (int, type(None))
                                                     for value in (self.size, self.mtime_ns)))

    def kind(self, frames: int) -> str:
        """One of four, where a video needs that many frames."""
        if self.problem:
            return MISSING if self.size is None else UNREADABLE
        return SHORT if self.frames < frames else FINE

    def holds(self, decode: bool) -> bool:
        """Whether the file is still the same, and was looked at as closely as now."""
        if self.size is None or not (self.decoded or self.problem or not decode):
            return False
        try:
            now = os.stat(self.path)
        except OSError:
            return False
        return (now.st_size, now.st_mtime_ns) == (self.size, self.mtime_ns)


def inspect(job: tuple[str, bool]) -> Finding:
    """Looks at a file: its index and first frame, or (path, True) all of its frames."""
    path, decode = job
    try:
        state = os.stat(path)
    except OSError:
        return Finding(path, problem=MISSING)
    try:
        with VideoReader(path) as reader:
            reader.images([0])
            if decode:
                for _ in decode_through(reader):
                    pass
            return Finding(path, state.st_size, state.st_mtime_ns, len(reader), decode)
    except VideoError as error:
        return Finding(path, state.st_size, state.st_mtime_ns, problem=error.reason)


def check(paths: Iterable[str], report: Report, decode: bool, workers: int, frames: int) -> dict[str, Finding]:
    """Finds out about files, of which the report may know some; it gets the findings while they come.

    Args:
        paths: absolute.
        report: of earlier checks.
        decode: every frame of each.
        workers: how many processes; 0 for this one alone.
        frames: how many a video needs, for the bar to count those with fewer.
    """
    found = {path: Finding(path, problem=MISSING) for path in missing_files(paths)}
    for finding in found.values():
        report.add(finding)
    known = {path: finding for path in paths if path not in found and (finding := report.known(path, decode))}
    if known:
        print(f'as {report.path} has them: {len(known)} of {len(found.keys() | set(paths))} videos')
    found |= known

    def worry(finding: Finding | Crash) -> str | None:
        kind = UNREADABLE if isinstance(finding, Crash) else finding.kind(frames)
        return None if kind == FINE else kind

    jobs = [(path, decode) for path in paths if path not in found]
    for (path, _), finding in progress(inspect, jobs, workers, 'checking', worry):
        if isinstance(finding, Crash):
            finding = Finding(path, 0, problem=finding.reason)  # not for the report: another time it may do
        else:
            report.add(finding)
        found[path] = finding
    return found


class Report:
    """Findings in a file of JSON lines, each written when it is found. The last line of a file counts.

    Args:
        path: of the report; made where there is none.

    Raises:
        UserError: the file is something else, or can't be written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.findings: dict[str, Finding] = {}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self.path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            text = read_text(self.path, 'report') if self.path.exists() else ''
            if not HEADER.startswith(text.partition('\n')[0]):
                raise ValueError
            self.file = self.path.open('a', encoding='utf-8', buffering=1)
        except OSError as error:
            raise UserError(f"{path}: can't write there ({error.strerror}); choose another with --report") from None
        except (ValueError, UserError):
            raise UserError(f'{path}: not a report of this command; choose another with --report') from None
        if not text.startswith(HEADER + '\n'):
            self.file.truncate(0)
            self.file.write(HEADER + '\n')
        elif not text.endswith('\n'):
            self.file.write('\n')  # the last line was cut
        for line in text.splitlines()[1:]:
            self.take(line)

    def take(self, line: str) -> None:
        """Reads a line; one that was cut by an interruption says nothing."""
        try:
            finding = Finding(**parse_json(line))
        except (ValueError, TypeError):
            return
        if not finding.sound():
            return
        self.findings[finding.path] = finding

    def add(self, finding: Finding) -> None:
        if self.findings.get(finding.path) != finding:
            self.findings[finding.path] = finding
            with disk_full_told(self.path):
                self.file.write(json.dumps(asdict(finding)) + '\n')

    def known(self, path: str, decode: bool) -> Finding | None:
        """What an earlier check found, if it still holds."""
        finding = self.findings.get(path)
        return finding if finding is not None and finding.holds(decode) else None

    def close(self) -> None:
        self.file.close()
