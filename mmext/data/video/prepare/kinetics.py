"""Kinetics' list files, made from the official CSVs (Kay et al., arXiv 1705.06950) and the video files that exist."""

from __future__ import annotations

import csv
import io
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from mmext.data.suffixes import VIDEOS
from mmext.data.video.lists import read_classes, read_label_text
from mmext.data.video.prepare.sources import find_videos
from mmext.errors import UserError, nearest, shorten

COLUMNS = ('label', 'youtube_id', 'time_start', 'time_end')
TRAINING = {'', 'train'}


class Row(NamedTuple):
    """One clip: a YouTube video from second ``start`` to second ``end``."""

    label: str
    youtube_id: str
    start: int
    end: int

    @property
    def stems(self) -> tuple[str, ...]:
        """The names that its file may have, without suffix."""
        return (f'{self.youtube_id}_{self.start:06d}_{self.end:06d}', f'{self.youtube_id}_{self.start}_{self.end}',
                self.youtube_id)


@dataclass
class Listing:
    """Rows and their files.

    Args:
        entries: (path, row), in the order of the rows.
        absent: rows without a file.
        shared: files that several different rows would share.
        others: files that belong to no row.
    """

    entries: list[tuple[str, Row]] = field(default_factory=list)
    absent: list[Row] = field(default_factory=list)
    shared: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)


def read_csv(path: str | Path) -> tuple[list[Row], set[str]]:
    """Reads an official CSV.

    Returns:
        The rows, each once, and the values of the column ``split`` ('' where there is no such column).

    Raises:
        UserError: the file is missing, is not such a CSV, has no rows, or a row lacks a value.
    """
    try:
        reader = csv.DictReader(io.StringIO(read_label_text(path)), skipinitialspace=True)
        columns, contents = reader.fieldnames or [], [(reader.line_num, content) for content in reader]
    except csv.Error as error:
        raise UserError(f'{path}: not a CSV ({error})') from None
    absent = [column for column in COLUMNS if column not in columns]
    if absent:
        hint = "; the test set's CSV of Kinetics-400 came without labels at first" if absent == ['label'] else ''
        raise UserError(f'{path}: no column {shorten(absent)}, it has {shorten(columns, 6) or "none"}; a Kinetics CSV '
                        f'has {",".join(COLUMNS)},split{hint}')
    rows, splits = {}, set()
    for line, content in contents:
        where = f'{path}: line {line}'
        values = [(content[column] or '').strip() for column in COLUMNS]
        if not all(values):
            raise UserError(f'{where}: no {COLUMNS[values.index("")]}')
        try:
            start, end = (int(float(value)) for value in values[2:])
        except (ValueError, OverflowError):
            raise UserError(f'{where}: time_start {values[2]!r} or time_end {values[3]!r} is not a number') from None
        rows[Row(values[0].replace('"', ''), values[1], start, end)] = None
        splits.add((content.get('split') or '').strip().lower())
    if not rows:
        raise UserError(f'{path}: no rows')
    return list(rows), splits


def classes_of(rows: Iterable[Row]) -> list[str]:
    """The classes of the rows in mmaction2's order, which is that of their names with underscores for spaces."""
    names = {underscored(row.label): row.label for row in rows}
    return [names[name] for name in sorted(names)]


def underscored(label: str) -> str:
    """A class name as mmaction2 writes it, with underscores for spaces."""
    return label.replace(' ', '_')


def require_same_classes(path: str | Path, classes: Sequence[str]) -> None:
    """Raises a UserError if there is a class list already and its classes, or their order, are not these."""
    if Path(path).exists() and list(map(underscored, read_classes(path))) != list(map(underscored, classes)):
        raise UserError(f'{path}: is there, with other classes than the {len(classes)} of this CSV; give it with '
                        '--classes if it is the right one, or write to another folder with --out')


def labels_of(rows: Iterable[Row], classes: Sequence[str], path: str | Path) -> dict[str, int]:
    """The class indices of the rows' labels, by label; spaces and underscores are not told apart.

    Raises:
        UserError: a label is none of the classes.
    """
    index_of = {underscored(name): index for index, name in enumerate(classes)}
    labels = sorted({row.label for row in rows})
    unknown = [label for label in labels if underscored(label) not in index_of]
    if unknown:
        raise UserError(f'{path}: {shorten(map(repr, unknown))}: not in the class list'
                        f'{nearest(unknown[0], classes, 1)}; the training CSV makes the right one')
    return {label: index_of[underscored(label)] for label in labels}


def find_files(rows: Sequence[Row], folder: str | Path) -> Listing:
    """Finds the rows' files: <class>/<file> or <file>, where file is <id>_<start>_<end> or <id>, any video suffix.

    The times may be padded to six digits. Of a class folder's name only letters and digits are compared. Of several
    files for one row the first counts: names with times before names without, class folders before the folder itself.
    """
    there = files_by_place(folder)
    listing, rows_of = Listing(), defaultdict(list)
    for row in rows:
        places = ((group, stem) for stem in row.stems for group in (letters_and_digits(row.label), ''))
        path = next((there[place] for place in places if place in there), None)
        if path is None:
            listing.absent.append(row)
        else:
            rows_of[path].append(row)
    for path, owners in rows_of.items():
        if len(owners) > 1:
            listing.shared.append(path)
        else:
            listing.entries.append((path, owners[0]))
    listing.others = sorted(set(there.values()) - rows_of.keys())
    return listing


def files_by_place(folder: str | Path) -> dict[tuple[str, str], str]:
    """The video files by (class folder or '', name without suffix); of several suffixes the most common one counts."""
    there: dict[tuple[str, str], str] = {}
    for path in sorted(find_videos(folder), key=lambda path: (VIDEOS.index(suffix_of(path)), path)):
        parts = Path(path).parts
        if len(parts) <= 2:
            there.setdefault((letters_and_digits(parts[0]) if len(parts) == 2 else '', Path(path).stem), path)
    return there


def suffix_of(path: str) -> str:
    """A path's suffix in lower case."""
    return os.path.splitext(path)[1].lower()


def letters_and_digits(name: str) -> str:
    """A name reduced to letters and digits: 'petting animal (not cat)' and 'petting_animal_not_cat' become equal."""
    return ''.join(filter(str.isalnum, name)).lower()
