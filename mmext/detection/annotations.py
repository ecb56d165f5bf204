"""Checks of a COCO annotation file, before anything long is started."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from mmext.errors import UserError, shorten
from mmext.files import read_json
from mmext.text import require_names

LARGEST = 1e12  # pixels, also of an area
NEEDED = {'images': ('id', 'file_name', 'height', 'width'),
          'annotations': ('id', 'image_id', 'category_id', 'bbox', 'area'),
          'categories': ('id', 'name')}


def read_annotations(path: str | Path) -> dict:
    """Reads a COCO annotation file and checks the form of everything that training and evaluation rely on.

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
            wrong = FAULTS[key](entry)
            if wrong:
                raise UserError(f'{path}: {key}[{i}]: {wrong}')
    require_names((category['name'] for category in content['categories']), path)
    check_references(path, content)
    return content


def fault_of_image(image: dict) -> str | None:
    """What is wrong with an image's fields; None if nothing is."""
    if not is_id(image['id']):
        return f'its id {brief(image["id"])} is not a whole number of 64 bits'
    if not is_name(image['file_name']):
        return f'file_name {brief(image["file_name"])} is not the name of a file'
    for key in ('height', 'width'):
        if not is_finite(image[key]) or image[key] < 1:
            return f'{key} {brief(image[key])} is not a number of pixels'
    return None


def fault_of_category(category: dict) -> str | None:
    if not is_id(category['id']):
        return f'its id {brief(category["id"])} is not a whole number of 64 bits'
    return None if is_name(category['name']) else f'name {brief(category["name"])} is not the name of a class'


def fault_of_annotation(annotation: dict) -> str | None:
    if type(annotation['id']) not in (int, str):  # nothing relies on it but its being its own
        return f'its id {brief(annotation["id"])} is neither a whole number nor text'
    for key in ('image_id', 'category_id'):
        if not is_id(annotation[key]):
            return f'{key} {brief(annotation[key])} is not a whole number of 64 bits'
    box, area = annotation['bbox'], annotation['area']
    if not isinstance(box, list) or len(box) != 4 or not all(map(is_finite, box)):
        return f'bbox {brief(box)} is not [x, y, width, height] in finite numbers'
    if box[2] < 0 or box[3] < 0:
        return f'bbox {brief(box)} has a negative size; need [x, y, width, height]'
    if not is_finite(area) or area < 0:
        return f'area {brief(area)} is not a number of pixels'
    for key in ('iscrowd', 'ignore'):
        if annotation.get(key) not in (None, 0, 1):
            return f'{key} {brief(annotation[key])} is neither 0 nor 1'
    return None


FAULTS = {'images': fault_of_image, 'annotations': fault_of_annotation, 'categories': fault_of_category}


def is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and '\0' not in value


def is_id(value: object) -> bool:
    """Whether a value is a whole number that numpy and torch can hold."""
    return type(value) is int and -2**63 <= value < 2**63


def is_finite(value: object) -> bool:
    """Whether a value is a number that is finite in float32, too, and of a size that pixels can have."""
    return isinstance(value, (int, float)) and type(value) in (int, float) and -LARGEST <= value <= LARGEST


def brief(value: object) -> str:
    """A value as Python writes it, so that '1' and 1 differ; a long one cut."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + '...'


def most_common(values: Iterable) -> tuple[object, int]:
    """The most frequent value and how often it is there; (None, 0) of none."""
    return next(iter(Counter(values).most_common(1)), (None, 0))


def check_references(path: str | Path, content: dict) -> None:
    """Every id is there once, every name of a class too; an annotation's image and category are there."""
    for key in ('images', 'annotations'):
        value, count = most_common(entry['id'] for entry in content[key])
        if count > 1:
            raise UserError(f'{path}: {count} {key} have the id {value!r}')
    for field in ('id', 'name'):
        value, count = most_common(category[field] for category in content['categories'])
        if count > 1:
            raise UserError(f'{path}: two categories have one id or one name ({value!r}); every class needs its own')
    images = {image['id'] for image in content['images']}
    categories = {category['id'] for category in content['categories']}
    for i, annotation in enumerate(content['annotations']):
        where = f'{path}: annotations[{i}] (id {annotation["id"]!r})'
        if annotation['image_id'] not in images:
            raise UserError(f'{where}: there is no image {annotation["image_id"]}')
        if annotation['category_id'] not in categories:
            raise UserError(f'{where}: there is no category {annotation["category_id"]}')


def category_names(content: dict) -> tuple[str, ...]:
    """The category names in the file's order, which is the order of the labels."""
    return tuple(category['name'] for category in content['categories'])


def check_classes(path: str | Path, content: dict, classes: Sequence[str], subset: bool = False) -> None:
    """The file's categories must be the config's classes, in their order; with ``subset`` there may be others too.

    Raises:
        UserError: they differ, or stand in another order (mmdet would then train under the wrong names).
    """
    found = category_names(content)
    missing = [name for name in classes if name not in found]
    unknown = [name for name in found if name not in classes]
    if missing or unknown and not subset:
        raise UserError(f'{path}: its {len(found)} categories ({shorten(found)}) are not the {len(classes)} classes of '
                        f'the config ({shorten(classes)}); --classes auto takes them from the file')
    if [name for name in found if name in classes] != list(classes):
        raise UserError(f'{path}: its categories stand in another order than the config\'s classes; --classes auto '
                        'takes them from the file')
