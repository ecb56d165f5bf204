"""Finds the images and videos among a user's files and folders."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmext.data.suffixes import IMAGES, VIDEOS
from mmext.errors import UserError
from mmext.files import print_left_out

SUFFIXES = dict(images=IMAGES, videos=VIDEOS)


@dataclass(frozen=True)
class Input:
    """An input file, and the path of its output picture or video."""

    path: Path
    output: Path

    @property
    def is_video(self) -> bool:
        """Whether the input is a video."""
        return is_video(self.path)


def is_video(path: Path) -> bool:
    """Whether a file has the suffix of a video."""
    return path.suffix.lower() in VIDEOS


def require_local(name: str) -> None:
    """Raises a UserError if the name of an input is a URL."""
    if '://' in name:
        raise UserError(f'{name}: URLs are not read; download the file first')


def find_inputs(paths: Iterable[Path], out: Path | None, kinds: Sequence[str] = ('images', 'videos'),
                video_suffix: str = '.mp4') -> tuple[list[Input], dict[str, str]]:
    """Plans which files are processed, and where their outputs go.

    The output of a file is ``out/<name>.jpg``, of a video ``.mp4``; a file in a folder keeps its relative path.
    Colliding names keep their original suffix too, or get a number. Files in ``out`` are never inputs.

    Args:
        paths: files and folders.
        out: the output folder; None if nothing is written to a folder.
        kinds: what to look for in folders: 'images', 'videos' or both.
        video_suffix: the suffix of the outputs of videos.

    Returns:
        The inputs, and path -> reason for those that are skipped.

    Raises:
        UserError: an output would overwrite an input, or be written among the inputs.
    """
    skipped: dict[str, str] = {}
    found: dict[Path, Path] = {}  # path -> place
    for path in paths:
        if not path.exists():
            skipped[str(path)] = 'no such file'
        elif not path.is_dir():
            found.setdefault(path, Path(path.name))
        else:
            if out and path.resolve() == out.resolve():
                raise UserError(f'{path}: the results would be written among the images of this folder; choose another '
                                'folder with --out')
            inside = files_in(path, kinds)
            if out and path.resolve() in out.resolve().parents:  # results of an earlier run
                inside = [file for file in inside if out.resolve() not in file.resolve().parents]
            found.update((file, file.relative_to(path)) for file in inside if file not in found)
            if not inside:
                skipped[str(path)] = f'no {" or ".join(kinds)} in this folder'
    taken: set[str] = set()
    inputs = [Input(path, (out or Path()) / free_name(place, video_suffix if is_video(path) else '.jpg', taken))
              for path, place in found.items()]
    sources = {path.resolve() for path in found}
    for item in inputs:
        if out and item.output.resolve() in sources:
            raise UserError(f'{item.output}: an output would overwrite this input; choose another folder with '
                            '--out')
    return inputs, skipped


def files_in(folder: Path, kinds: Sequence[str] = ('images', 'videos')) -> list[Path]:
    """The images and videos in a folder and its subfolders, without hidden ones. Other files are reported.

    Args:
        folder: the folder.
        kinds: 'images', 'videos' or both.
    """
    suffixes = [suffix for kind in kinds for suffix in SUFFIXES[kind]]
    files = [file for file in sorted(folder.rglob('*')) if not file.name.startswith('.') and file.is_file()]
    others = (str(file.relative_to(folder)) for file in files if file.suffix.lower() not in suffixes)
    print_left_out(folder, others, ' or '.join(kinds))
    return [file for file in files if file.suffix.lower() in suffixes]


def free_name(place: Path, suffix: str, taken: set[str]) -> Path:
    """A name that is not in ``taken``, also on a case-insensitive file system; it is added to ``taken``."""
    name = place.with_suffix(suffix)
    number = 1
    while str(name).lower() in taken:
        name = place.with_name(f'{place.name}{"" if number == 1 else f"_{number}"}{suffix}')
        number += 1
    taken.add(str(name).lower())
    return name
