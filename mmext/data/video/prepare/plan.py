"""Conversion of many videos: where each result is written, what is refused, and what became of each video."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from mmext.data.video.prepare.convert import MISSING, UNREADABLE, Conversion, Outcome, outcome_if_made
from mmext.data.video.prepare.sources import Source
from mmext.errors import UserError
from mmext.files import read_json, require_writable, write_json
from mmext.screen import progress
from mmext.workers import Crash, in_threads

SETTINGS = '.prepare_video.json'


def convert(function: Callable[[Conversion], Outcome], conversions: dict[str, Conversion], source: Source, workers: int,
            title: str) -> dict[str, Outcome]:
    """Carries out the conversions that ``plan`` returned; those whose result is there already take no worker's time.

    Args:
        function: ``resize`` or ``extract_frames``.
        conversions: by the names of the videos.
        source: the videos; those without a conversion are missing.
        workers: number of processes; 0 converts in this one.
        title: of the progress bar.

    Returns:
        The outcome for each of the source's names.
    """
    names = {conversion: name for name, conversion in conversions.items()}
    outcomes = {name: Outcome(MISSING) for name in source.names}
    jobs = []
    for conversion, made in zip(names, in_threads(outcome_if_made, list(names))):
        if made is None:
            jobs.append(conversion)
        else:
            outcomes[names[conversion]] = made
    for conversion, result in progress(function, jobs, workers, title, trouble_of):
        outcomes[names[conversion]] = Outcome(UNREADABLE, 0, result.reason) if isinstance(result, Crash) else result
    return outcomes


def trouble_of(result: Outcome | Crash) -> str | None:
    """The kind of trouble that the progress bar counts; None where there is none."""
    return UNREADABLE if isinstance(result, Crash) or result.failed else None


def frame_folder(name: str) -> str:
    """The folder for a video's frames: its name without suffix, and with underscores for spaces.

    mmaction2's list files can't have spaces.
    """
    return '_'.join(os.path.splitext(name)[0].split())


def plan_conversions(source: Source, out: str | Path, target_of: Callable[[str], str],
         short_side: int | None = None) -> dict[str, Conversion]:
    """Plans the conversion of each video that exists.

    Args:
        source: the videos.
        out: the folder to write into, which is created; neither the folder of the videos nor inside it.
        target_of: from a video's name to the name of its result, relative to ``out``.
        short_side: of the results, in pixels; None keeps the size.

    Returns:
        The conversions by the names of the videos, each name once.

    Raises:
        UserError: none of the videos exists; a result would overwrite a video or another result, or lie outside
            ``out``; or ``out`` can't be written to.
    """
    require_apart(source.folder, out)
    names_of: dict[str, str] = {}
    for name in dict.fromkeys(source.names):
        if os.path.isabs(name) or name.startswith('..'):
            raise UserError(f'{source.path}: {name!r} leads out of {source.folder}, where names in the list start; it '
                            f'is not clear where in {out} its result belongs')
        other = names_of.setdefault(target_of(name), name)
        if other != name:
            raise UserError(f'{source.path}: {other!r} and {name!r} would both become {target_of(name)!r} in {out}; '
                            'rename one')
    for folder in {os.path.dirname(target) for target in names_of}:
        require_apart(source.folder, Path(out) / folder)
    missing = source.missing()
    if missing.issuperset(source.names):
        raise UserError(f'{source.folder}: none of the {len(set(source.names))} videos of {source.path} is there, as '
                        f'{source.names[0]!r}; is --videos right?')
    require_writable(out, '--out')
    return {name: Conversion(source.file(name), os.path.join(out, target), short_side)
            for target, name in names_of.items() if name not in missing}


def require_apart(videos: str | Path, out: str | Path) -> None:
    """Refuses an output folder that is the folder of the videos or inside it, symbolic links resolved.

    Raises:
        UserError: it is.
    """
    first, second = Path(videos).resolve(), Path(out).resolve()
    if first == second or first in second.parents:
        raise UserError(f'{out}: {"" if first == second else "in "}the folder of the videos, where nothing is written; '
                        'give another folder with --out')


def require_settings(out: str | Path, **settings: object) -> None:
    """Records how the results in a folder are made, so that no folder holds results of two kinds.

    Raises:
        UserError: the results that are there were made with other settings.
    """
    path = Path(out) / SETTINGS
    try:
        before = read_json(path, 'settings') if path.exists() else settings
    except UserError:  # half-written by an older version
        before = settings
    if not isinstance(before, dict):
        before = settings
    if before != settings:
        described = ', '.join(f'{key.replace("_", " ")} {value}' for key, value in before.items() if value)
        raise UserError(f'{out}: what is there was made with other settings ({described}); choose another folder with '
                        '--out')
    write_json(path, settings)
