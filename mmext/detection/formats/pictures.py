"""Annotated pictures, in no format's own terms; and what all readers of formats need."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmext.data.decoding import NoImage, sizes
from mmext.data.suffixes import IMAGES
from mmext.errors import UserError
from mmext.text import printable, require_names

Box = tuple[float, float, float, float]  # x, y, width, height


@dataclass(frozen=True)
class Object:
    """An annotated object.

    Args:
        name: of its class.
        box: x, y, width, height in pixels.
        difficult: whether it is not to be learnt: VOC's ``difficult``, COCO's ``ignore``.
        crowd: whether it is a group: COCO's ``iscrowd``.
        area: in square pixels; that of the box if None.
    """

    name: str
    box: Box
    difficult: bool = False
    crowd: bool = False
    area: float | None = None


@dataclass
class Picture:
    """An image and its objects.

    Args:
        name: of the file, relative to the folder of its split, with ``/``.
        path: where the file is.
        width, height: in pixels.
        objects: in the order of the annotations.
    """

    name: str
    path: Path
    width: int
    height: int
    objects: list[Object] = field(default_factory=list)


@dataclass
class Source:
    """What a reader has found.

    Args:
        splits: 'train' and 'val' -> pictures; '' -> pictures that belong to no split.
        classes: in the order of the source; sorted if it has none.
        skipped: what could not be converted -> how often, for one line on the screen.
    """

    splits: dict[str, list[Picture]]
    classes: tuple[str, ...]
    skipped: dict[str, int] = field(default_factory=dict)

    @property
    def pictures(self) -> list[Picture]:
        """All pictures."""
        return [picture for pictures in self.splits.values() for picture in pictures]


def sorted_classes(pictures: Iterable[Picture]) -> tuple[str, ...]:
    """The names of all objects' classes, sorted."""
    return tuple(sorted({one.name for picture in pictures for one in picture.objects}))


def corners(left: float, top: float, right: float, bottom: float, where: str) -> Box:
    """The box between two corners in pixels. Raises a UserError if they are not finite or in the wrong order."""
    if not all(map(math.isfinite, (left, top, right, bottom))):
        raise UserError(f'{where}: a coordinate is not finite')
    if right < left or bottom < top:
        raise UserError(f'{where}: the box from ({left:g}, {top:g}) to ({right:g}, {bottom:g}) has a negative size')
    return left, top, right - left, bottom - top


def around(points: Sequence[tuple[float, float]], where: str) -> Box:
    """The smallest box around points (x, y)."""
    xs, ys = zip(*points)
    return corners(min(xs), min(ys), max(xs), max(ys), where)


def number(text: object, where: str) -> float:
    """A finite number from a file. Raises a UserError for anything else."""
    try:
        value = float(str(text))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(f'{where}: {str(text)[:40]!r} is not a number')
    return value


def class_name(name: object, where: str) -> str:
    """The name of a class from a file, without surrounding blanks. Raises a UserError if it is not text on one line."""
    if not isinstance(name, str):
        raise UserError(f'{where}: the name of a class is a {type(name).__name__}, not text')
    require_names([name.strip()], where)
    return name.strip()


def text_of(value: float) -> str:
    """A number with all its digits; without a point if it is whole."""
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def files_below(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    """The files in a folder and in the folders in it, sorted, without hidden ones. UserError if it does not exist."""
    if not folder.is_dir():
        raise UserError(f'{folder}: no such folder')
    return sorted(path for path in folder.rglob('*') if path.suffix.lower() in suffixes and path.is_file()
                  and not any(part.startswith('.') for part in path.relative_to(folder).parts))


def without_suffix(name: str) -> str:
    """A file name, with the folders that it is in, without its suffix."""
    return os.path.splitext(name)[0]


class ImageFolder:
    """The images in a folder and the folders in it, found by their names without suffixes.

    Raises:
        UserError: there is no such folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.by_stem: dict[str, list[Path]] = {}
        for path in files_below(folder, IMAGES):
            self.by_stem.setdefault(without_suffix(path.relative_to(folder).as_posix()), []).append(path)

    def find(self, stem: str, named: str, where: object) -> Path:
        """The image of an annotation file.

        Args:
            stem: the annotation file's name without suffix, with the folders that it is in.
            named: the name of the image in the annotation file, which decides between several images.
            where: the annotation file, for the message.

        Raises:
            UserError: there is no such image.
        """
        named = os.path.basename(named.replace('\\', '/'))
        other = os.path.join(os.path.dirname(stem), without_suffix(named))
        found = self.by_stem.get(stem) or self.by_stem.get(other, [])
        if not found:
            raise UserError(f'{where}: no image {printable(stem)}.* in {self.folder}; name the folder of the images '
                            'with --images')
        return next((path for path in found if path.name == named), found[0])

    def name(self, path: Path) -> str:
        """The name of an image relative to this folder."""
        return path.relative_to(self.folder).as_posix()


def size_of(path: Path) -> tuple[int, int]:
    """(width, height) of an image as a viewer shows it, from its header. UserError if it can't be read."""
    try:
        height, width = sizes(str(path))[1]
    except NoImage as error:
        raise UserError(f'{path}: {error}') from None
    return round(width), round(height)


def require_plain(name: str, where: object) -> str:
    """The name of an image in a file, with ``/``. Raises a UserError if it leads out of its folder."""
    name = name.replace('\\', '/')
    if not name.strip() or name.startswith('/') or '..' in name.split('/') or name != printable(name):
        raise UserError(f'{where}: {printable(name)!r} is not the name of an image in its folder')
    return name
