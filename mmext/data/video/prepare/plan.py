"""Conversion of many videos: what goes where, refused where it can't be right, and what became of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from mmext.data.video.prepare.convert import MISSING, UNREADABLE, Conversion, Outcome
from mmext.data.video.prepare.sources import Source
from mmext.errors import UserError
from mmext.files import read_json, require_writable, write_json
from mmext.screen import progress
from mmext.workers import Crash

SETTINGS = '.prepare_video.json'


def convert(function: Callable[[Conversion], Outcome], conversions: dict[str, Conversion], source: Source, workers: int,
            title: str) -> dict[str, Outcome]:
    """Does what ``plan`` gave; what became of each of the source's names."""
    name_of = {conversion: name for name, conversion in conversions.items()}
    outcomes = {name: Outcome(MISSING) for name in source.names}
    for conversion, result in progress(function, list(name_of), workers, title, worry):
        outcomes[name_of[conversion]] = Outcome(UNREADABLE, 0, result.reason) if isinstance(result, Crash) else result
    return outcomes


def worry(result: Outcome | Crash) -> str | None:
    return UNREADABLE if isinstance(result, Crash) or result.bad else None


def frame_folder(name: str) -> str:
    """A video's folder of frames: its name without the suffix; without spaces, which mmaction2's lists can't have."""
    return '_'.join(os.path.splitext(name)[0].split())


def plan(source: Source, out: str | Path, target_of: Callable[[str], str],
         short_side: int | None = None) -> dict[str, Conversion]:
    """The conversion of each video that is there, by its name; each name once.

    Args:
        source: the videos.
        out: the folder to write into, which is made; never the videos' own, or one in it.
        target_of: from a video's name to the one that is written.
        short_side: of the conversions.

    Raises:
        UserError: none of the videos is there; or something would be written over a video or over another output, or
            out of the folder, or can't be written.
    """
    require_apart(source.folder, out)
    names_of: dict[str, str] = {}
    for name in dict.fromkeys(source.names):
        if os.path.isabs(name) or name.startswith('..'):
            raise UserError(f'{source.path}: {name!r} leads out of {source.folder}; names in the list start there, and '
                            f'it is not clear where in {out} this belongs')
        other = names_of.setdefault(target_of(name), name)
        if other != name:
            raise UserError(f'{source.path}: {other!r} and {name!r} would both become {target_of(name)!r} in {out}; '
                            'rename one')
    for place in {os.path.dirname(target) for target in names_of}:
        require_apart(source.folder, Path(out) / place)
    missing = source.missing()
    if missing.issuperset(source.names):
        raise UserError(f'{source.folder}: none of the {len(set(source.names))} videos of {source.path} is there, as '
                        f'{source.names[0]!r}; is --videos right?')
    require_writable(out, '--out')
    return {name: Conversion(source.file(name), os.path.join(out, target), short_side)
            for target, name in names_of.items() if name not in missing}


def require_apart(videos: str | Path, out: str | Path) -> None:
    """A folder to write into is not that of the videos, and not in it, by whatever names or links."""
    first, second = Path(videos).resolve(), Path(out).resolve()
    if first == second or first in second.parents:
        raise UserError(f'{out}: {"" if first == second else "in "}the folder of the videos, where nothing is written; '
                        'give another folder with --out')


def require_settings(out: str | Path, **settings: object) -> None:
    """Notes how the outputs of a folder are made, so that no folder gets two kinds of them.

    Raises:
        UserError: those that are there were made otherwise.
    """
    path = Path(out) / SETTINGS
    try:
        before = read_json(path, 'settings') if path.exists() else settings
    except UserError:  # half-written by an older version
        before = settings
    if not isinstance(before, dict):
        before = settings
    if before != settings:
        told = ', '.join(f'{key.replace("_", " ")} {value}' for key, value in before.items() if value)
        raise UserError(f'{out}: what is there was made with other settings ({told}); choose another folder with --out')
    write_json(path, settings)
