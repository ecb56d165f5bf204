"""Checks of COCO annotation files before a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from mmext.compat import installed
from mmext.data.once import read_once, without_collection
from mmext.errors import UserError, nearest, shorten
from mmext.files import read_json
from mmext.text import require_names

LARGEST = 1e12  # the limit of coordinates (pixels) and areas (square pixels)
NEEDED = {'images': ('id', 'file_name', 'height', 'width'),
          'annotations': ('id', 'image_id', 'category_id', 'bbox', 'area'),
          'categories': ('id', 'name')}


@read_once
@without_collection()
def read_annotations(path: str | Path, outlines: bool = False) -> dict:
    """Reads a COCO annotation file and checks all fields that training and evaluation use.

    Args:
        path: of the file.
        outlines: keep the entries whole, among others with the outlines of objects (``segmentation``). Otherwise they
            may contain only the fields that the detection of boxes needs, which takes a tenth of the time.

    Returns:
        The content of the file, not to be changed: it is read once for several calls.

    Raises:
        UserError: the file is missing or not JSON, lacks a key, or has a malformed entry; the message names the entry.
    """
    content = None
    if not outlines and installed('msgspec'):
        from mmext.detection import typed

        content = typed.decode(path)
    if content is None:
        content = read_untyped(path)
    require_names((category['name'] for category in content['categories']), path)
    check_references(path, content)
    return content


def read_untyped(path: str | Path) -> dict:
    """Reads an annotation file entry by entry. Raises a UserError that names what is missing or malformed."""
    content = read_json(path, 'annotation file', '; is --data-root right?')
    if not isinstance(content, dict):
        raise UserError(f'{path}: a COCO annotation file contains an object, this one a {type(content).__name__}')
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
    return content


def fault_of_image(image: dict) -> str | None:
    """What is wrong with an image's fields; None if they are valid."""
    if not is_id(image['id']):
        return f'its id {brief(image["id"])} is not a 64-bit integer'
    if not is_name(image['file_name']):
        return f'file_name {brief(image["file_name"])} is not the name of a file'
    for key in ('height', 'width'):
        if not is_finite(image[key]) or image[key] < 1:
            return f'{key} {brief(image[key])} is not a number of pixels'
    return None


def fault_of_category(category: dict) -> str | None:
    """What is wrong with a category's fields; None if they are valid."""
    if not is_id(category['id']):
        return f'its id {brief(category["id"])} is not a 64-bit integer'
    return None if is_name(category['name']) else f'name {brief(category["name"])} is not the name of a class'


def fault_of_annotation(annotation: dict) -> str | None:
    """What is wrong with an annotation's fields; None if they are valid."""
    if type(annotation['id']) not in (int, str):  # it only has to be unique
        return f'its id {brief(annotation["id"])} is neither an integer nor text'
    for key in ('image_id', 'category_id'):
        if not is_id(annotation[key]):
            return f'{key} {brief(annotation[key])} is not a 64-bit integer'
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
    """Whether a value is non-blank text without null characters."""
    return isinstance(value, str) and bool(value.strip()) and '\0' not in value


def is_id(value: object) -> bool:
    """Whether a value is a 64-bit integer, as numpy and torch need."""
    return type(value) is int and -2**63 <= value < 2**63


def is_finite(value: object) -> bool:
    """Whether a value is a finite number of a plausible size for coordinates, which also fits float32."""
    return isinstance(value, (int, float)) and type(value) in (int, float) and -LARGEST <= value <= LARGEST


def brief(value: object) -> str:
    """The ``repr`` of a value, truncated to 80 characters."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + '...'


def most_common(values: Iterable) -> tuple[object, int]:
    """The most frequent value and its count; (None, 0) if there are no values."""
    return max(Counter(values).items(), key=lambda item: item[1], default=(None, 0))


def check_references(path: str | Path, content: dict) -> None:
    """Checks that ids and category names are unique, and that the image and category of each annotation exist.

    Raises:
        UserError: they are not; the message names the entry.
    """
    for key in ('images', 'annotations'):
        value, count = most_common(entry['id'] for entry in content[key])
        if count > 1:
            raise UserError(f'{path}: {count} {key} have the id {value!r}')
    for field in ('id', 'name'):
        value, count = most_common(category[field] for category in content['categories'])
        if count > 1:
            raise UserError(f'{path}: two categories have the same {field} ({value!r}); it must be unique')
    images = {image['id'] for image in content['images']}
    categories = {category['id'] for category in content['categories']}
    annotations = content['annotations']
    if {annotation['image_id'] for annotation in annotations} <= images and \
            {annotation['category_id'] for annotation in annotations} <= categories:
        return
    for i, annotation in enumerate(annotations):
        where = f'{path}: annotations[{i}] (id {annotation["id"]!r})'
        if annotation['image_id'] not in images:
            raise UserError(f'{where}: there is no image {annotation["image_id"]}')
        if annotation['category_id'] not in categories:
            raise UserError(f'{where}: there is no category {annotation["category_id"]}')


def category_names(content: dict) -> tuple[str, ...]:
    """The category names in the order of the file, which is the order of the labels."""
    return tuple(category['name'] for category in content['categories'])


def check_classes(path: str | Path, content: dict, classes: Sequence[str], subset: bool = False) -> None:
    """Checks that the file's categories are the config's classes, in any order.

    Args:
        path: the annotation file, for messages.
        content: its content.
        classes: the classes of the config.
        subset: whether the file may have further categories.

    Raises:
        UserError: they differ; the message names the categories that are most similar to a missing class.
    """
    found = category_names(content)
    missing = [name for name in classes if name not in found]
    unknown = [name for name in found if name not in classes]
    close = nearest(missing[0], unknown) if missing else ''
    if missing and subset:
        raise UserError(f'{path}: none of its {len(found)} categories ({shorten(found)}) is called '
                        f'{shorten(map(repr, missing))}{close}')
    if missing or unknown and not subset:
        raise UserError(f'{path}: its {len(found)} categories ({shorten(found)}) are not the {len(classes)} classes of '
                        f'the config ({shorten(classes)}); --classes auto takes them from the file{close}')
