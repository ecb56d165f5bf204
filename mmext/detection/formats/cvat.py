"""CVAT for images 1.1: one XML file for all images, with shapes in pixels.

Boxes, also turned ones, polygons, masks and ellipses become boxes; points and lines have none. ``is_crowd`` and
``difficult`` are attributes of a shape.
"""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement

from mmext.detection.formats.pictures import (
    Box,
    ImageFolder,
    Object,
    Picture,
    Source,
    around,
    class_name,
    corners,
    number,
    require_plain,
    sorted_classes,
    text_of,
    without_suffix,
)
from mmext.detection.formats.xml import read_xml, to_text
from mmext.errors import UserError
from mmext.files import write_text

LINES = ('polyline', 'points', 'cuboid', 'skeleton')
OTHERS = ('tag', )  # of an image


def read(source: Path, images: Path | None) -> Source:
    """Reads an XML file, or the folder with ``annotations.xml`` and ``images`` that CVAT exports."""
    path = source / 'annotations.xml' if source.is_dir() else source
    root = read_xml(path, 'annotations')
    if root.find('track') is not None:
        raise UserError(f'{path}: CVAT\'s format for videos; export the task as "CVAT for images 1.1"')
    beside = path.parent / 'images'
    pool = ImageFolder(images or (beside if beside.is_dir() else path.parent))
    skipped: Counter[str] = Counter()
    pictures = [read_picture(element, i, path, pool, skipped) for i, element in enumerate(root.iter('image'), 1)]
    if not pictures:
        raise UserError(f'{path}: no images in it')
    labels = tuple(dict.fromkeys(class_name(label.findtext('name'), f'{path}: label') for label in root.iter('label')))
    found = sorted_classes(pictures)
    return Source({'': pictures}, (*labels, *(name for name in found if name not in labels)), dict(skipped))


def read_picture(element: Element, count: int, path: Path, pool: ImageFolder, skipped: Counter[str]) -> Picture:
    """Reads one image element; counts the shapes that have no box."""
    name = require_plain(element.get('name') or '', f'{path}: image {count}')
    where = f'{path}: {name}'
    file = pool.find(without_suffix(name), name, where)
    width, height = (round(number(element.get(side), f'{where}: {side}')) for side in ('width', 'height'))
    objects = []
    for i, shape in enumerate(element, 1):
        place = f'{where}: shape {i}'
        box = box_of(shape, place)
        if box is None:
            if shape.tag not in OTHERS:
                skipped[f'shapes of the type {shape.tag[:20]}, which have no box'] += 1
            continue
        flags = {attribute.get('name'): (attribute.text or '').strip().lower() in ('true', '1')
                 for attribute in shape.iter('attribute')}
        objects.append(Object(class_name(shape.get('label'), place), box, crowd=flags.get('is_crowd', False),
                              difficult=flags.get('difficult', False)))
    return Picture(pool.name(file), file, width, height, objects)


def box_of(shape: Element, where: str) -> Box | None:
    """The box around a shape; None if it has none."""
    def value(key: str) -> float:
        return number(shape.get(key), f'{where}: {key}')

    if shape.tag == 'box':
        box = corners(value('xtl'), value('ytl'), value('xbr'), value('ybr'), where)
        return turned(box, value('rotation'), where) if shape.get('rotation') else box
    if shape.tag == 'polygon':
        pairs = [pair.split(',') for pair in (shape.get('points') or '').split(';')]
        if len(pairs) < 3 or any(len(pair) != 2 for pair in pairs):
            raise UserError(f'{where}: a polygon needs three or more points x,y')
        return around([(number(x, where), number(y, where)) for x, y in pairs], where)
    if shape.tag == 'mask':
        left, top = value('left'), value('top')
        return corners(left, top, left + value('width'), top + value('height'), where)
    if shape.tag == 'ellipse':
        x, y, across, down = (value(key) for key in ('cx', 'cy', 'rx', 'ry'))
        return corners(x - across, y - down, x + across, y + down, where)
    return None


def turned(box: Box, degrees: float, where: str) -> Box:
    """The box around a box that is turned about its centre."""
    x, y, width, height = box
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    half = [(across * width / 2, down * height / 2) for across, down in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    return around([(x + width / 2 + a * cosine - d * sine, y + height / 2 + a * sine + d * cosine) for a, d in half],
                  where)


def image_place(split: str) -> str:
    """The images of a split, beside its XML file."""
    return f'{split}/images'


def write(folder: Path, source: Source) -> None:
    """A task of CVAT for each split: ``<split>/annotations.xml``."""
    for split, pictures in source.splits.items():
        root = Element('annotations')
        SubElement(root, 'version').text = '1.1'
        labels = SubElement(SubElement(SubElement(root, 'meta'), 'task'), 'labels')
        for name in source.classes:
            SubElement(SubElement(labels, 'label'), 'name').text = name
        for i, picture in enumerate(pictures):
            element = SubElement(root, 'image', id=str(i), name=picture.name, width=str(picture.width),
                                 height=str(picture.height))
            for one in picture.objects:
                x, y, width, height = one.box
                box = SubElement(element, 'box', label=one.name, source='manual', occluded='0', xtl=text_of(x),
                                 ytl=text_of(y), xbr=text_of(x + width), ybr=text_of(y + height), z_order='0')
                for name, given in (('difficult', one.difficult), ('is_crowd', one.crowd)):
                    if given:
                        SubElement(box, 'attribute', name=name).text = 'true'
        write_text(folder / split / 'annotations.xml', to_text(root))
