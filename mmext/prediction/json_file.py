"""Writes ``predictions.json``, the predictions for a user's images and videos.

It contains ``classes`` (all names), for detectors ``score`` (the minimal score), and ``files``. For an image, of a
detector:

    {"path": "in/a.png", "kind": "image", "width": 640, "height": 480, "output": "a.jpg",
     "boxes": [[x1, y1, x2, y2], ...], "scores": [...], "classes": ["dog", ...]}

Boxes are in pixels of the displayed image (after EXIF orientation or a video's rotation), by descending score. In the
entries of a classifier for an image, and of a recognizer for a video, ``classes`` are all names by descending score,
with their ``scores``, and there are no boxes. In those of a detector for a video, ``time`` is in seconds from the first
frame, and ``error`` is added if it could not be read to its end:

    {"path": "in/b.avi", "kind": "video", "width": 640, "height": 480, "fps": 25.0, "output": "b.mp4",
     "frames": [{"time": 0.0, "boxes": [...], "scores": [...], "classes": [...]}, ...]}

Inputs that could not be read at all are listed in ``skipped``: {"path": ..., "reason": ...}.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TextIO


class ResultWriter:
    """Writes ``predictions.json`` entry by entry, without keeping it in memory."""

    def __init__(self, file: TextIO, header: Mapping[str, object]) -> None:
        self.file = file
        self.open: list[bool] = []
        file.write(f'{json.dumps(header)[:-1]},\n "files": ')

    def begin(self) -> None:
        """Begins a list of entries."""
        self.file.write('[')
        self.open.append(False)

    def add(self, entry: dict) -> None:
        """Writes an entry of the current list."""
        self.next()
        self.file.write(json.dumps(entry))

    def next(self) -> None:
        """Writes the separator before an entry."""
        self.file.write(f'{"," if self.open[-1] else ""}\n{" " * 2 * len(self.open)}')
        self.open[-1] = True

    def end(self) -> None:
        """Ends a list of entries."""
        self.open.pop()
        self.file.write(']')

    def finish(self, skipped: Mapping[str, str]) -> None:
        """Ends the list of files, and writes the inputs that could not be read: path -> reason."""
        self.end()
        rows = [dict(path=path, reason=reason) for path, reason in skipped.items()]
        self.file.write(f',\n "skipped": {json.dumps(rows)}}}\n')

    def begin_video(self, entry: dict) -> None:
        """Begins the entry of a video, to which its frames are added."""
        self.next()
        self.file.write(json.dumps(entry)[:-1] + ', "frames": ')
        self.begin()

    def end_video(self, error: str | None) -> None:
        """Ends the entry of a video, with the reason if it could not be read to its end."""
        self.end()
        self.file.write((f', "error": {json.dumps(error)}' if error else '') + '}')
