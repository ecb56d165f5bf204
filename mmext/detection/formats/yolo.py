"""YOLO: a text file for each image with lines ``class x y width height``, as fractions of the image's size.

x and y are the centre of the box. A line with more numbers is a polygon. Names of classes and folders of images are in
``data.yaml``; the label files of ``images/a.jpg`` are ``labels/a.txt``, or beside it.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from mmext.data.suffixes import IMAGES
from mmext.detection.formats.pictures import (
    Object,
    Picture,
    Source,
    around,
    class_name,
    corners,
    files_below,
    number,
    size_of,
)
from mmext.errors import UserError
from mmext.files import read_text, write_text

DIGITS = 8  # of fractions: 0.0001 pixels of an image of 10,000


def read(source: Path, images: Path | None) -> Source:
    """Reads a ``data.yaml`` or the folder that it is in, or a folder of label files and ``classes.txt``."""
    described = source / 'data.yaml' if source.is_dir() else source
    if described.is_file() and described.suffix in ('.yaml', '.yml'):
        return read_described(described)
    if not source.is_dir():
        raise UserError(f'{source}: no such folder or data.yaml')
    names = source / 'classes.txt'
    lines = read_text(names, 'list of classes; YOLO needs it or a data.yaml').split('\n')
    classes = checked(tuple(line for line in lines if line.strip()), names)
    return Source({'': read_pictures(images or source, source, classes, str(source))}, classes)


def read_described(path: Path) -> Source:
    """Reads the splits that a ``data.yaml`` describes."""
    try:
        content = yaml.safe_load(read_text(path))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f'{path}: not YAML ({" ".join(str(error).split())[:120]})') from None
    names = content.get('names') if isinstance(content, dict) else None
    if isinstance(names, dict):
        if sorted(names, key=str) != sorted(range(len(names)), key=str):
            raise UserError(f'{path}: the numbers of its names are not 0 to {len(names) - 1}')
        names = [names[i] for i in range(len(names))]
    if not isinstance(names, list) or not names:
        raise UserError(f'{path}: no names, the list of classes')
    classes = checked(tuple(names), path)
    root = content.get('path')
    root = path.parent / (root if isinstance(root, str) else '')
    root = root if root.is_dir() else path.parent  # paths of another machine
    splits = {}
    for split in ('train', 'val'):
        place = content.get(split)
        if place is None:
            continue
        if not isinstance(place, str):
            raise UserError(f'{path}: {split} is a {type(place).__name__}, not a folder of images')
        folder = next((folder for folder in (root / place, path.parent / place.removeprefix('../')) if folder.is_dir()),
                      None)
        if folder is None:
            raise UserError(f'{path}: {split}: {root / place}: no such folder of images')
        parts = list(folder.parts)
        for i in [i for i, part in enumerate(parts) if part == 'images'][-1:]:
            parts[i] = 'labels'
        splits[split] = read_pictures(folder, Path(*parts), classes, str(path))
    if not splits:
        raise UserError(f'{path}: neither train nor val names a folder of images')
    return Source(splits if len(splits) > 1 else {'': next(iter(splits.values()))}, classes)


def checked(classes: tuple[object, ...], where: object) -> tuple[str, ...]:
    """The names of classes. Raises a UserError if one is not text, or stands there twice."""
    names = tuple(class_name(str(name) if type(name) is int else name, str(where)) for name in classes)
    if not names or len(set(names)) < len(names):
        raise UserError(f'{where}: {"a class is named twice" if names else "names no class"}')
    return names


def read_pictures(images: Path, labels: Path, classes: tuple[str, ...], where: str) -> list[Picture]:
    """All images in a folder, with the objects of their label files; an image without one has none."""
    found = files_below(images, IMAGES)
    if not found:
        raise UserError(f'{images}: no images; {where} needs them for their sizes; name their folder with --images')
    stems = {path.relative_to(images).with_suffix('').as_posix() for path in found}
    stray = [path for path in (files_below(labels, ('.txt', )) if labels.is_dir() else [])
             if path.name != 'classes.txt' and path.relative_to(labels).with_suffix('').as_posix() not in stems]
    if stray:
        raise UserError(f'{stray[0]}: no image of this name in {images}; name the folder of the images with --images')
    pictures = []
    for path in found:
        file = labels / path.relative_to(images).with_suffix('.txt')
        file = file if file.is_file() or labels == images else path.with_suffix('.txt')
        width, height = size_of(path)
        pictures.append(Picture(path.relative_to(images).as_posix(), path, width, height,
                                read_objects(file, classes, width, height) if file.is_file() else []))
    return pictures


def read_objects(path: Path, classes: tuple[str, ...], width: int, height: int) -> list[Object]:
    """The objects of a label file."""
    objects = []
    for row, line in enumerate(read_text(path).split('\n'), 1):
        words, where = line.split(), f'{path}: line {row}'
        if not words:
            continue
        if len(words) != 5 and (len(words) < 7 or len(words) % 2 == 0):
            raise UserError(f'{where}: {len(words)} numbers; need "class x y width height", or a class and a polygon')
        if not (words[0].isascii() and words[0].isdigit() and int(words[0][:9]) < len(classes)):
            raise UserError(f'{where}: class {words[0][:20]!r} is not a number from 0 to {len(classes) - 1}')
        values = [number(word, where) for word in words[1:]]
        if max(values) > 2 or min(values) < -1:
            raise UserError(f'{where}: {max(values, key=abs):g} is not a fraction of the image; are these pixels?')
        if len(values) == 4:
            x, y, w, h = values
            box = corners((x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height, where)
        else:
            box = around([(x * width, y * height) for x, y in zip(values[::2], values[1::2])], where)
        objects.append(Object(classes[int(words[0])], box))
    return objects


def image_place(split: str) -> str:
    """The images of a split."""
    return f'images/{split}'


def write(folder: Path, source: Source) -> None:
    """Crowds and difficult objects are left out: YOLO has no flag for them."""
    labels = {name: i for i, name in enumerate(source.classes)}
    left_out = 0
    for split, pictures in source.splits.items():
        for picture in pictures:
            lines = []
            for one in picture.objects:
                if one.crowd or one.difficult:
                    left_out += 1
                    continue
                x, y, w, h = one.box
                values = ((x + w / 2) / picture.width, (y + h / 2) / picture.height, w / picture.width,
                          h / picture.height)
                lines.append(' '.join([str(labels[one.name]), *(f'{value:.{DIGITS}f}' for value in values)]))
            write_text(folder / 'labels' / split / Path(picture.name).with_suffix('.txt'),
                       ''.join(f'{line}\n' for line in lines))
    described = dict(path='.', **{split: image_place(split) for split in source.splits}, names=dict(
        enumerate(source.classes)))
    write_text(folder / 'data.yaml', yaml.safe_dump(described, sort_keys=False, allow_unicode=True))
    if left_out:
        source.skipped['crowds and difficult objects left out, for which YOLO has no flag'] = left_out
