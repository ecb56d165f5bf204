"""The videos that a command works on: those of a label file, or all in a folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from mmext.data.suffixes import VIDEOS
from mmext.data.video.lists import missing_files, read_label_text, read_list, read_something, read_templates
from mmext.errors import UserError
from mmext.files import print_left_out, read_json, write_json, write_text


@dataclass(frozen=True)
class Source:
    """Videos by their names.

    Args:
        path: of the label file, or the folder.
        folder: that the names are relative to.
        names: in the order of the file, perhaps with repetitions.
        labels: class indices of the names; empty for a folder.
    """

    path: Path
    folder: Path
    names: list[str] = field(repr=False)
    labels: list[int] = field(default_factory=list, repr=False)

    def file(self, name: str) -> str:
        """The path of a video."""
        return os.path.join(self.folder, name)

    def missing(self) -> set[str]:
        """The names whose files do not exist."""
        absent = set(missing_files(map(self.file, self.names)))
        return {name for name in self.names if self.file(name) in absent}

    def write_subset(self, path: Path, keep: Callable[[str], bool]) -> int:
        """Writes a label file of some of the videos, whose lines or objects are copied unchanged.

        Args:
            path: of the file to write.
            keep: whether a video, given by its name, is kept.

        Returns:
            The number of entries written.
        """
        chosen = [keep(name) for name in self.names]
        if self.path.suffix == '.json':
            content = [entry for entry, kept in zip(cast(list, read_json(self.path, 'label file')), chosen) if kept]
            write_json(path, content)
        else:
            lines = [line for line in read_label_text(self.path).split('\n') if line.strip()]
            write_lines(path, [line for line, kept in zip(lines, chosen) if kept])
        return sum(chosen)


def read_source(path: str | Path, videos: str | Path | None = None, label_file: str | Path | None = None,
                suffix: str = '.webm') -> Source:
    """Reads a list file of lines 'path label', or Something-Something's train.json, or a folder.

    Args:
        path: of the file or the folder.
        videos: the folder that the names in a file are relative to; None for a folder.
        label_file: Something-Something's labels.json; by default the one beside ``path``.
        suffix: of Something-Something's video files.

    Raises:
        UserError: there is no such file or folder, it can't be used, or it has no videos.
    """
    path = Path(path)
    if path.is_dir():
        if videos is not None:
            raise UserError(f'{path}: a folder; --videos {videos} is for a list file, whose names start there')
        names = sorted(find_videos(path))
        if not names:
            raise UserError(f'{path}: no videos in there ({", ".join(VIDEOS)})')
        return Source(path, path, names)
    if path.suffix == '.json':
        templates = read_templates(label_file or path.with_name('labels.json'))
        entries = read_something(path, templates, suffix)
    else:
        entries = read_list(path)
    if videos is None:
        raise UserError(f'{path}: a list file; give the folder that its names start from with --videos')
    require_folder(videos)
    return Source(path, Path(videos), [os.path.normpath(name) for name, _ in entries], [label for _, label in entries])


def require_folder(path: str | Path) -> None:
    """Raises a UserError unless the path given with --videos is a folder."""
    if not Path(path).is_dir():
        raise UserError(f'{path}: {"not a folder" if Path(path).exists() else "no such video folder"}; '
                        'is --videos right?')


def find_videos(folder: str | Path) -> Iterator[str]:
    """Yields the video files in a folder and its subfolders, told by their suffixes, as paths relative to the folder.

    Files with other suffixes are named on stderr at the end.
    """
    left_out = []
    for parent, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith('.')]
        for name in files:
            path = os.path.relpath(os.path.join(parent, name), folder)
            if os.path.splitext(name)[1].lower() not in VIDEOS:
                left_out.append(path)
            elif not name.startswith('.'):
                yield path
    print_left_out(folder, left_out)


def write_lines(path: str | Path, lines: list[str]) -> None:
    """Writes a text file of these lines, completely or not at all."""
    text = ''.join(f'{line}\n' for line in lines)
    write_text(path, text)
