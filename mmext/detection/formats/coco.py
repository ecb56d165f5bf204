"""COCO: one JSON file for all images of a split, in the layout that the configs of detectors expect."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from mmext.detection.annotations import category_names, fault_of_annotation, fault_of_image, read_annotations
from mmext.detection.formats.pictures import Object, Picture, Source, require_plain
from mmext.errors import UserError
from mmext.files import write_json

NAMES = dict(train='train2017', val='val2017')


def read(source: Path, images: Path | None) -> Source:
    """Reads a JSON file, or a folder with ``annotations/instances_{train,val}2017.json``."""
    if not source.is_dir():
        if images is None:
            raise UserError(f'{source}: name the folder of its images with --images')
        pictures, classes = read_split(source, images)
        return Source({'': pictures}, classes)
    splits, classes = {}, ()
    for split, name in NAMES.items():
        path = source / 'annotations' / f'instances_{name}.json'
        splits[split], found = read_split(path, (images or source) / name)
        classes = tuple(dict.fromkeys((*classes, *found)))
    return Source(splits, classes)


def read_split(path: Path, images: Path) -> tuple[list[Picture], tuple[str, ...]]:
    """The pictures and classes of one file."""
    content = read_annotations(path)
    names = {category['id']: category['name'] for category in content['categories']}
    pictures = {}
    for image in content['images']:
        name = require_plain(image['file_name'], path)
        if not (images / name).is_file():
            raise UserError(f'{path}: no image {name} in {images}; name the folder of the images with --images')
        pictures[image['id']] = Picture(name, images / name, round(image['width']), round(image['height']))
    for annotation in content['annotations']:
        x, y, width, height = annotation['bbox']
        pictures[annotation['image_id']].objects.append(Object(
            names[annotation['category_id']], (x, y, width, height), bool(annotation.get('ignore')),
            bool(annotation.get('iscrowd')), annotation['area']))
    return list(pictures.values()), category_names(content)


def image_place(split: str) -> str:
    """The images of a split."""
    return NAMES[split]


def write(folder: Path, source: Source) -> None:
    """``annotations/instances_{train,val}2017.json``."""
    for split, pictures in source.splits.items():
        write_json(folder / 'annotations' / f'instances_{NAMES[split]}.json', content_of(pictures, source.classes))


def content_of(pictures: Sequence[Picture], classes: Sequence[str]) -> dict:
    """The content of an annotation file. Ids count from 1, those of categories in the order of the classes."""
    ids = {name: i for i, name in enumerate(classes, 1)}
    images, annotations = [], []
    for image_id, picture in enumerate(pictures, 1):
        image = dict(id=image_id, file_name=picture.name, width=picture.width, height=picture.height)
        images.append(without_fault(image, fault_of_image, picture))
        for one in picture.objects:
            area = one.box[2] * one.box[3] if one.area is None else one.area
            annotation = dict(id=len(annotations) + 1, image_id=image_id, category_id=ids[one.name],
                              bbox=[tidy(value) for value in one.box], area=tidy(area), iscrowd=int(one.crowd),
                              **(dict(ignore=1) if one.difficult else {}))
            annotations.append(without_fault(annotation, fault_of_annotation, picture))
    categories = [dict(id=i, name=name, supercategory='') for name, i in ids.items()]
    return dict(images=images, annotations=annotations, categories=categories)


def without_fault(entry: dict, fault: Callable[[dict], str | None], picture: Picture) -> dict:
    """An entry of an annotation file. Raises a UserError if a training would refuse it."""
    wrong = fault(entry)
    if wrong:
        raise UserError(f'{picture.path}: {wrong}')
    return entry


def tidy(value: float) -> float:
    """A number as an integer if it is whole."""
    return int(value) if float(value).is_integer() else value
