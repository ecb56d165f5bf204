"""Checks of a COCO annotation file, before anything long is started."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mmext.errors import UserError, shorten
from mmext.files import read_json

NEEDED = {'images': ('id', 'file_name', 'height', 'width'),
          'annotations': ('id', 'image_id', 'category_id', 'bbox', 'area'),
          'categories': ('id', 'name')}


def read_annotations(path: str | Path) -> dict:
    """Reads a COCO annotation file and checks its form.

    Raises:
        UserError: it is missing, not JSON, lacks a key, or an entry is malformed; the message names the entry.
    """
    content = read_json(path, 'annotation file', '; is --data-root right?')
    if not isinstance(content, dict):
        raise UserError(f'{path}: a COCO annotation file holds an object, this one a {type(content).__name__}')
    for key, fields in NEEDED.items():
        if not isinstance(content.get(key), list):
            raise UserError(f'{path}: no list {key!r}; is it a COCO detection file (instances_*.json)?')
        for i, entry in enumerate(content[key]):
            absent = [field for field in fields if field not in entry] if isinstance(entry, dict) else list(fields)
            if absent:
                raise UserError(f'{path}: {key}[{i}] has no {shorten(absent)}')
    check_references(path, content)
    return content


def check_references(path: str | Path, content: dict) -> None:
    """Every annotation has its own id, an image, a category and a box of four numbers."""
    images = {image['id'] for image in content['images']}
    categories = {category['id'] for category in content['categories']}
    for i, annotation in enumerate(content['annotations']):
        where = f'{path}: annotations[{i}] (id {annotation["id"]})'
        box = annotation['bbox']
        if annotation['image_id'] not in images:
            raise UserError(f'{where}: there is no image {annotation["image_id"]}')
        if annotation['category_id'] not in categories:
            raise UserError(f'{where}: there is no category {annotation["category_id"]}')
        if not isinstance(box, list) or len(box) != 4 or not all(isinstance(number, (int, float)) for number in box):
            raise UserError(f'{where}: bbox {box!r} is not [x, y, width, height]')
    for key in ('images', 'annotations'):
        entry, count = Counter(entry['id'] for entry in content[key]).most_common(1)[0] if content[key] else (None, 1)
        if count > 1:
            raise UserError(f'{path}: {count} {key} have the id {entry}')


def category_names(content: dict) -> tuple[str, ...]:
    """The category names in the file's order, which is the order of the labels."""
    return tuple(category['name'] for category in content['categories'])


def check_classes(path: str | Path, content: dict, classes: Sequence[str]) -> None:
    """The file's categories must be the config's classes, in their order.

    Raises:
        UserError: they differ, or stand in another order (mmdet would then train under the wrong names).
    """
    found = category_names(content)
    if found == tuple(classes):
        return
    missing = [name for name in classes if name not in found]
    unknown = [name for name in found if name not in classes]
    if not missing and not unknown:
        raise UserError(f'{path}: its categories stand in another order than the config\'s classes; --classes auto '
                        'takes them from the file')
    raise UserError(f'{path}: its {len(found)} categories ({shorten(found)}) are not the {len(classes)} classes of the '
                    f'config ({shorten(classes)}); --classes auto takes them from the file')
