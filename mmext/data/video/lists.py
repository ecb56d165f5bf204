"""Label files of video data sets: list files as for Kinetics, and Something-Something's JSON as it is downloaded."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from mmext.errors import UserError, nearest, shorten
from mmext.files import read_json, read_text
from mmext.text import require_names

Entry = tuple[str, int]  # path relative to the video folder, label
FrameEntry = tuple[str, int, int]  # folder of frames, number of frames, label
MOST_CLASSES, MOST_FRAMES = 1_000_000, 100_000_000


def read_list(path: str | Path, num_classes: int | None = None, delimiter: str = ' ') -> list[Entry]:
    """Reads a list file of lines 'path label', as in mmaction2. Paths may contain the delimiter.

    Args:
        path: of the file.
        num_classes: labels must be below it; None leaves that unchecked.
        delimiter: between path and label.

    Raises:
        UserError: the file is missing or has no lines; a line has no label, or its label is not an integer or out of
            range.
    """
    entries = []
    for number, line in enumerate(read_label_text(path).split('\n'), 1):
        if not line.strip():
            continue
        name, found, label = line.strip().rpartition(delimiter)
        where = f'{path}: line {number}'
        if not found or not name.strip():
            raise UserError(f'{where}: {line.strip()!r} has no label; a line is "path{delimiter}label"')
        try:
            entries.append((name.strip(), int(label)))
        except ValueError:
            raise UserError(f'{where}: the label {label!r} is not an integer') from None
        require_label(where, entries[-1][1], num_classes)
    if not entries:
        raise UserError(f'{path}: no lines; a line is "path{delimiter}label"')
    return entries


def read_frame_list(path: str | Path, num_classes: int | None = None, delimiter: str = ' ') -> list[FrameEntry]:
    """Reads a list file of lines 'folder frames label', as in mmaction2 for extracted frames.

    Args:
        path, num_classes, delimiter: as for ``read_list``.

    Raises:
        UserError: as for ``read_list``, or a line has no number of frames.
    """
    entries = []
    for i, (name, label) in enumerate(read_list(path, num_classes, delimiter)):
        folder, found, frames = name.rpartition(delimiter)
        if not found or not (frames.isascii() and frames.isdigit() and 0 < int(frames[:20]) <= MOST_FRAMES):
            raise UserError(f'{path}: entry {i + 1}: {name!r} has no number of frames; a line is '
                            f'"folder{delimiter}frames{delimiter}label"')
        entries.append((folder.strip(), int(frames), label))
    return entries


def read_classes(path: str | Path) -> tuple[str, ...]:
    """Reads the names of the classes, one per line, in the order of their labels.

    Raises:
        UserError: there is no such file, it is empty, or a name occurs twice; names that differ only in spaces and
            underscores are the same.
    """
    names = [line.strip() for line in read_label_text(path).split('\n') if line.strip()]
    twice = [name for name, count in Counter(name.replace(' ', '_') for name in names).items() if count > 1]
    if not names or twice:
        problem = f'{shorten(twice)} twice' if twice else 'no names'
        raise UserError(f'{path}: {problem}; need one class per line')
    require_names(names, path)
    return tuple(names)


def require_label(where: str, label: int, num_classes: int | None) -> None:
    """Raises a UserError, which begins with ``where``, unless a label is a plausible class index."""
    if label >= MOST_CLASSES and num_classes is None:
        raise UserError(f'{where}: label {label} would need as many classes; at most {MOST_CLASSES:,} are supported')
    if label < 0 or num_classes is not None and label >= num_classes:
        raise UserError(f'{where}: label {label} is not in 0 to {"..." if num_classes is None else num_classes - 1}; '
                        'labels count from 0, and num_classes is how many there are')


def read_templates(path: str | Path) -> tuple[str, ...]:
    """Reads the classes of Something-Something from its labels.json, an object of template: label.

    Returns:
        The templates in the order of their labels.

    Raises:
        UserError: the file is missing or is another one, or its labels are not 0, 1, ...
    """
    content = read_json(path, 'label file', '; is --data-root right?')
    if not isinstance(content, dict) or not content:
        raise UserError(f'{path}: not the labels.json of Something-Something, an object of template: label')
    wrong = [label for label in content.values() if not (
        type(label) is int or isinstance(label, str) and label.isascii() and label.isdigit() and len(label) < 10)]
    if wrong:
        raise UserError(f'{path}: the label {wrong[0]!r} is not a number; download the file again')
    by_label = {int(label): template for template, label in content.items()}
    if sorted(by_label) != list(range(len(content))):
        raise UserError(f'{path}: its {len(content)} labels are not 0 to {len(content) - 1}; download the file again')
    require_names(content, path)
    return tuple(by_label[label] for label in range(len(content)))


def read_something(path: str | Path, classes: Iterable[str], suffix: str = '.webm') -> list[Entry]:
    """Reads Something-Something's train.json or validation.json, a list of objects with id and template.

    Its templates have their objects in brackets ('Pushing [something]'); those in labels.json have none.

    Args:
        path: of the file.
        classes: the templates of labels.json in the order of their labels.
        suffix: of the video files, which are named by the entries' ids.

    Raises:
        UserError: the file is missing or not such a list, an entry lacks a key, or its template is none of the classes.
    """
    content = read_json(path, 'label file', '; is --data-root right?')
    if not isinstance(content, list) or not content:
        raise UserError(f'{path}: not a label file of Something-Something, a list of objects with id and template')
    label_of = {template: label for label, template in enumerate(classes)}
    entries = []
    for i, entry in enumerate(content):
        absent = [key for key in ('id', 'template') if not isinstance(entry, dict) or key not in entry]
        if absent:
            hint = '; test.json has no labels, use validation.json' if absent == ['template'] else ''
            raise UserError(f'{path}: [{i}] has no {shorten(absent)}{hint}')
        name = entry['id']
        if type(name) is not int and not (isinstance(name, str) and name.strip() and '\0' not in name):
            raise UserError(f'{path}: [{i}]: its id {name!r} is neither text nor a whole number')
        if not isinstance(entry['template'], str):
            raise UserError(f'{path}: [{i}] (id {name}): its template {entry["template"]!r} is not text')
        template = entry['template'].replace('[', '').replace(']', '')
        if template not in label_of:
            raise UserError(f'{path}: [{i}] (id {entry["id"]}): its template {template!r} is not in labels.json'
                            f'{nearest(template, label_of, 1)}')
        entries.append((f'{entry["id"]}{suffix}', label_of[template]))
    return entries


def read_label_text(path: str | Path) -> str:
    """The text of a label file. UserError: it is missing, or not text."""
    return read_text(path, 'label file', '; is --data-root right?')


def missing_files(paths: Iterable[str]) -> list[str]:
    """The paths that do not exist, sorted. Each folder is listed once, which is faster than one query per file."""
    listed: dict[str, set[str]] = {}
    missing = set()
    for path in paths:
        folder, name = os.path.split(path)
        if folder not in listed:
            listed[folder] = set(os.listdir(folder or '.')) if os.path.isdir(folder or '.') else set()
        if name not in listed[folder]:
            missing.add(path)
    return sorted(missing)
