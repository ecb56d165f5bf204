"""Converts a data set from one format of annotations to another, with its images; all of it or nothing."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath

from mmext.detection.formats import format_of
from mmext.detection.formats.pictures import Picture, Source
from mmext.errors import UserError, nearest, shorten
from mmext.files import disk_full_told, umask


def with_validation(source: Source, other: Source | None, share: float | None, seed: int) -> Source:
    """A source whose pictures all belong to 'train' or 'val'.

    Args:
        source: as a reader returns it.
        other: the validation data, if they come from elsewhere.
        share: the share of the pictures, from 0 to 1, that are drawn for validation.
        seed: of the draw.

    Raises:
        UserError: there are no validation data, or more than one of the three says which they are.
    """
    split = '' not in source.splits
    if split + (other is not None) + (share is not None) != 1:
        raise UserError('the source has a train and a val set of its own; leave out --val and --val-share' if split else
                        'give either --val, with the validation data, or --val-share, such as 0.2')
    if split:
        return source
    train = source.splits['']
    if other is not None:
        if '' not in other.splits:
            raise UserError('--val: it has a train and a val set of its own; need annotations of one set')
        classes = tuple(dict.fromkeys((*source.classes, *other.classes)))
        skipped = Counter(source.skipped) + Counter(other.skipped)
        return Source(dict(train=train, val=other.splits['']), classes, dict(skipped))
    assert share is not None  # one of the three is given
    count = round(share * len(train)) if 0 < share < 1 else 0
    if not 0 < count < len(train):
        raise UserError(f'--val-share {share:g}: would leave {count} of the {len(train)} images for validation; need a '
                        'share between 0 and 1')
    chosen = set(random.Random(seed).sample(range(len(train)), count))
    return Source(dict(train=[one for i, one in enumerate(train) if i not in chosen],
                       val=[train[i] for i in sorted(chosen)]), source.classes, source.skipped)


def with_classes(source: Source, classes: Sequence[str] | None) -> Source:
    """A source with only these classes, in this order. Raises a UserError if there is no such class."""
    if not classes:
        return source
    for name in classes:
        if name not in source.classes:
            raise UserError(f'--classes: no class is called {name!r}{nearest(name, source.classes)} (there are '
                            f'{shorten(source.classes, 10)})')
    splits = {split: [replace(picture, objects=[one for one in picture.objects if one.name in classes])
                      for picture in pictures] for split, pictures in source.splits.items()}
    return Source(splits, tuple(classes), source.skipped)


def write_data(folder: Path, source: Source, kind: str, link: bool) -> None:
    """Writes a data set: annotations, and copies of the images.

    Everything is written to a hidden folder beside it, which gets its name at the end. If the format has one folder for
    the images of both splits, and names would collide there, they get the split's name as a prefix.

    Args:
        folder: must not exist, or be empty.
        source: with the splits 'train' and 'val'.
        kind: the format.
        link: make symbolic links in the place of copies.

    Raises:
        UserError: two images would have the same name, a file can't be read, or the folder is in use.
    """
    target = format_of(kind)
    stems = [{stem_of(picture) for picture in pictures} for pictures in source.splits.values()]
    if target.image_place('train') == target.image_place('val') and set.intersection(*stems):
        source.splits = {split: [replace(picture, name=with_prefix(picture.name, f'{split}_')) for picture in pictures]
                         for split, pictures in source.splits.items()}
    for pictures in source.splits.values():
        require_distinct(pictures, by_stem=kind != 'coco')
    with complete_or_absent(folder) as temporary:
        target.write(temporary, source)
        for split, pictures in source.splits.items():
            for picture in pictures:
                place_image(picture, temporary / target.image_place(split) / picture.name, link)


def stem_of(picture: Picture) -> str:
    """The name of a picture without suffix, which the file of its annotations has."""
    return str(PurePosixPath(picture.name).with_suffix(''))


def with_prefix(name: str, prefix: str) -> str:
    """A name with a prefix before its last part."""
    return str(PurePosixPath(name).with_name(prefix + PurePosixPath(name).name))


def require_distinct(pictures: Sequence[Picture], by_stem: bool) -> None:
    """Raises a UserError if two pictures have the same name, or, for files beside each, the same without suffix."""
    seen: dict[str, Picture] = {}
    for picture in pictures:
        name = stem_of(picture) if by_stem else picture.name
        other = seen.setdefault(name, picture)
        if other is not picture:
            raise UserError(f'{picture.path} and {other.path}: would have the same name in the new data set; rename '
                            'one')


def place_image(picture: Picture, place: Path, link: bool) -> None:
    """Copies an image, or makes a link to it. Raises a UserError if it can't be read."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if link:
        place.symlink_to(picture.path.resolve())
        return
    with disk_full_told(place):
        try:
            shutil.copyfile(picture.path, place)
        except (PermissionError, FileNotFoundError) as error:
            raise UserError(f'{picture.path}: {error.strerror}') from None


def require_free(folder: Path) -> None:
    """Raises a UserError if a folder exists and is not empty."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f'{folder}: exists and is not empty; give another folder, or remove it')


@contextmanager
def complete_or_absent(folder: Path) -> Iterator[Path]:
    """A temporary folder that gets the name ``folder`` at the end, and is removed if anything fails."""
    require_free(folder)
    try:
        folder.absolute().parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f'.{folder.name}.', suffix='.part', dir=folder.absolute().parent))
    except OSError as error:
        raise UserError(f"{folder}: can't write there ({error.strerror})") from None
    try:
        yield temporary
        temporary.chmod(0o777 & ~umask())
        os.replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
