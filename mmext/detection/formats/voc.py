"""Pascal VOC: an XML file for each image, beside it or in ``Annotations/``; splits in ``ImageSets/Main/``.

Corners are pixels counted from 1, and the last one is inside the box: a box of x = 0 and width 10 is from 1 to 10.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement

from mmext.detection.formats.pictures import (
    ImageFolder,
    Object,
    Picture,
    Source,
    class_name,
    corners,
    files_below,
    number,
    size_of,
    sorted_classes,
    text_of,
)
from mmext.detection.formats.xml import child_text, read_xml, to_text
from mmext.errors import UserError
from mmext.files import read_text, write_text


def read(source: Path, images: Path | None) -> Source:
    """Reads a folder of XML files, or a folder with ``Annotations``, ``JPEGImages`` and ``ImageSets/Main``."""
    folder = source / 'Annotations' if (source / 'Annotations').is_dir() else source
    paths = files_below(folder, ('.xml', ))
    if not paths:
        raise UserError(f'{folder}: no XML files')
    beside = folder.parent / 'JPEGImages'
    pool = ImageFolder(images or (beside if beside.is_dir() else folder))
    pictures = {}
    for path in paths:
        stem = path.relative_to(folder).with_suffix('').as_posix()
        pictures[stem] = read_picture(path, stem, pool)
    lists = {split: folder.parent / 'ImageSets' / 'Main' / f'{split}.txt' for split in ('train', 'val')}
    splits = {'': list(pictures.values())}
    if folder != source and all(path.is_file() for path in lists.values()):
        splits = {split: listed(path, pictures) for split, path in lists.items()}
    return Source(splits, sorted_classes(pictures.values()))


def listed(path: Path, pictures: dict[str, Picture]) -> list[Picture]:
    """The pictures that a file of ``ImageSets/Main`` names, one a line."""
    names = [line.strip() for line in read_text(path).split('\n') if line.strip()]
    absent = [name for name in names if name not in pictures]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if absent or twice:
        raise UserError(f'{path}: ' + (f'there are no annotations of {absent[0]!r}' if absent else
                                       f'{twice[0]!r} is named twice'))
    return [pictures[name] for name in names]


def read_picture(path: Path, stem: str, pool: ImageFolder) -> Picture:
    """Reads one XML file."""
    root = read_xml(path, 'annotation')
    file = pool.find(stem, root.findtext('filename') or '', path)
    width, height = (round(number(root.findtext(f'size/{side}') or 0, f'{path}: size')) for side in ('width', 'height'))
    if width < 1 or height < 1:  # some tools write 0
        width, height = size_of(file)
    objects = []
    for i, element in enumerate(root.iter('object'), 1):
        where = f'{path}: object {i}'
        left, top, right, bottom = (number(child_text(element, f'bndbox/{key}', where), where)
                                    for key in ('xmin', 'ymin', 'xmax', 'ymax'))
        objects.append(Object(class_name(child_text(element, 'name', where), where),
                              corners(left - 1, top - 1, right, bottom, where),
                              difficult=(element.findtext('difficult') or '0').strip() not in ('0', '')))
    return Picture(pool.name(file), file, width, height, objects)


def image_place(split: str) -> str:
    """All images are in one folder."""
    return 'JPEGImages'


def write(folder: Path, source: Source) -> None:
    """Crowds become difficult objects, which VOC's evaluation does not count either."""
    for split, pictures in source.splits.items():
        stems = [Path(picture.name).with_suffix('').as_posix() for picture in pictures]
        write_text(folder / 'ImageSets' / 'Main' / f'{split}.txt', ''.join(f'{stem}\n' for stem in stems))
        for picture, stem in zip(pictures, stems):
            write_text(folder / 'Annotations' / f'{stem}.xml', to_text(element_of(picture)))
    crowds = sum(one.crowd for picture in source.pictures for one in picture.objects)
    if crowds:
        source.skipped['crowds written as difficult objects'] = crowds


def element_of(picture: Picture) -> Element:
    """The XML of one picture."""
    root = Element('annotation')
    SubElement(root, 'folder').text = 'JPEGImages'
    SubElement(root, 'filename').text = picture.name
    size = SubElement(root, 'size')
    for side, value in (('width', picture.width), ('height', picture.height), ('depth', 3)):
        SubElement(size, side).text = str(value)
    SubElement(root, 'segmented').text = '0'
    for one in picture.objects:
        element = SubElement(root, 'object')
        x, y, width, height = one.box
        for tag, text in (('name', one.name), ('pose', 'Unspecified'), ('truncated', '0'),
                          ('difficult', str(int(one.difficult or one.crowd)))):
            SubElement(element, tag).text = text
        box = SubElement(element, 'bndbox')
        for tag, value in (('xmin', x + 1), ('ymin', y + 1), ('xmax', x + width), ('ymax', y + height)):
            SubElement(box, tag).text = text_of(value)
    return root
