"""LabelMe: a JSON file for each image, usually beside it, with shapes in pixels.

Rectangles, polygons, circles and masks become boxes; points and lines have none.
"""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

from mmext.detection.formats.pictures import (
    Box,
    ImageFolder,
    Object,
    Picture,
    Source,
    around,
    class_name,
    files_below,
    number,
    size_of,
    sorted_classes,
)
from mmext.errors import UserError
from mmext.files import read_json, write_json

BOXED = ('rectangle', 'polygon', 'mask', 'rotation')
VERSION = '5.0.0'  # of the format


def read(source: Path, images: Path | None) -> Source:
    """Reads a folder of JSON files."""
    paths = files_below(source, ('.json', ))
    if not paths:
        raise UserError(f'{source}: no JSON files')
    pool = ImageFolder(images or source)
    skipped: Counter[str] = Counter()
    pictures = [read_picture(path, path.relative_to(source).with_suffix('').as_posix(), pool, skipped)
                for path in paths]
    return Source({'': pictures}, sorted_classes(pictures), dict(skipped))


def read_picture(path: Path, stem: str, pool: ImageFolder, skipped: Counter[str]) -> Picture:
    """Reads one JSON file; counts the shapes that have no box."""
    content = read_json(path, 'file of LabelMe')
    shapes = content.get('shapes') if isinstance(content, dict) else None
    if not isinstance(content, dict) or not isinstance(shapes, list):
        raise UserError(f"{path}: no list 'shapes'; is it a file of LabelMe?")
    file = pool.find(stem, str(content.get('imagePath') or ''), path)
    size = [content.get(key) for key in ('imageWidth', 'imageHeight')]
    width, height = [round(number(side, f'{path}: size')) for side in size] if all(size) else size_of(file)
    objects = []
    for i, shape in enumerate(shapes):
        where = f'{path}: shapes[{i}]'
        if not isinstance(shape, dict) or not isinstance(shape.get('points'), list):
            raise UserError(f'{where}: no list of points')
        box = box_of(shape, where)
        if box is None:
            skipped[f'shapes of the type {str(shape.get("shape_type"))[:20]}, which have no box'] += 1
            continue
        flags = shape['flags'] if isinstance(shape.get('flags'), dict) else {}
        objects.append(Object(class_name(shape.get('label'), where), box, crowd=bool(flags.get('crowd')),
                              difficult=bool(flags.get('difficult') or shape.get('difficult'))))
    return Picture(pool.name(file), file, width, height, objects)


def box_of(shape: dict, where: str) -> Box | None:
    """The box around a shape; None if it has none."""
    kind = shape.get('shape_type') or 'polygon'  # of old files
    if kind not in (*BOXED, 'circle'):
        return None
    pairs = [pair for pair in shape['points'] if isinstance(pair, (list, tuple)) and len(pair) == 2]
    if len(pairs) < 2 or len(pairs) < len(shape['points']):
        raise UserError(f'{where}: a {kind} needs two or more points [x, y]')
    points = [(number(x, where), number(y, where)) for x, y in pairs]
    if kind == 'circle':  # its centre, and a point on it
        (x, y), (other_x, other_y) = points[:2]
        radius = math.hypot(other_x - x, other_y - y)
        points = [(x - radius, y - radius), (x + radius, y + radius)]
    return around(points, where)


def image_place(split: str) -> str:
    """The images of a split, with the JSON files beside them."""
    return split


def write(folder: Path, source: Source) -> None:
    """Difficult objects and crowds get flags of these names."""
    for split, pictures in source.splits.items():
        for picture in pictures:
            shapes = []
            for one in picture.objects:
                x, y, width, height = one.box
                flags = {name: True for name in ('difficult', 'crowd') if getattr(one, name)}
                shapes.append(dict(label=one.name, points=[[x, y], [x + width, y + height]], group_id=None,
                                   description='', shape_type='rectangle', flags=flags))
            write_json(folder / split / Path(picture.name).with_suffix('.json'), dict(
                version=VERSION, flags={}, shapes=shapes, imagePath=Path(picture.name).name, imageData=None,
                imageHeight=picture.height, imageWidth=picture.width))
