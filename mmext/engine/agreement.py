"""Whether a model and its data are made for each other, found before anything long starts."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sized
from typing import Any, cast

from mmengine.config import Config
from mmengine.logging import print_log
from torch import nn
from torch.utils.data import DataLoader, Dataset

from mmext.errors import UserError, shorten

KEY = 'num_classes'
# Parts whose classes are not the data set's: proposals, maps with labels of their own, what comes before the heads.
OTHERS = ('rpn', 'rpn_head', 'semantic_head', 'backbone', 'neck')


def require_agreement(config: Config, model: nn.Module, loaders: Mapping[str, DataLoader]) -> None:
    """Raises a UserError where a model has another number of classes than a data set.

    Args:
        config: of both, whose keys the message names.
        model: built of it.
        loaders: 'train_dataloader' and others -> as they were built.
    """
    if getattr(model, 'language_model', None) is not None:  # finds what a text names
        return
    heads = numbers_of_classes(config.get('model') or {}, model)
    for loader in loaders.values():
        for dataset in leaves(loader.dataset):
            require_classes(heads, dataset)


def require_classes(heads: Mapping[str, int], dataset: Dataset) -> None:
    """Raises a UserError where one of the heads (key in the config -> classes) is not for the classes of a data set."""
    require_categories(dataset)
    count, things = count_classes(dataset)
    said = f'{count} classes'
    if count is None:  # labels without names
        count = len(members_of(dataset) or ())
        said = f'labels up to {count - 1}'
        heads = {key: min(number, count) for key, number in heads.items()}
    wrong = {key: number for key, number in heads.items() if count and number not in (count, things)}
    if wrong:
        options = ' '.join(f'{key}={count}' for key in wrong)
        told = shorten(f'{key} is {number}' for key, number in wrong.items())
        raise UserError(f'{place_of(dataset)}: {said}, but {told}; give --classes auto, or --cfg-options {options}')


def require_categories(dataset: Dataset) -> None:
    """Raises a UserError where a COCO file lacks some of the classes: mmdet then shifts the labels of the others."""
    count, _ = count_classes(dataset)
    categories = getattr(dataset, 'cat_ids', None)
    if count and isinstance(categories, list) and len(categories) < count:
        raise UserError(f"{place_of(dataset)}: {len(categories)} of the config's {count} classes are among its "
                        'categories; --classes auto takes them from the file')


def numbers_of_classes(config: Mapping, model: nn.Module) -> dict[str, int]:
    """The ``num_classes`` of every part of a model that tells the data set's classes apart.

    Args:
        config: of the model.
        model: as it was built, which knows what the config leaves to a default.

    Returns:
        key in the config, such as 'model.roi_head.bbox_head.0.num_classes' -> number.
    """
    said, unsaid = dict(configured(config, 'model')), {}
    for name, part in model.named_modules():
        number = getattr(part, KEY, None)
        if type(number) is int and not is_other(name) and not getattr(part, 'class_agnostic', False):
            place = config_place(config, name)
            (unsaid if place is None else said)[f'{place or f"model.{name}"}.{KEY}'] = number
    return said or unsaid


def configured(node: object, place: str) -> Iterator[tuple[str, int]]:
    """What a config says of ``num_classes``: also where no module keeps it, as in mixing transforms of batches."""
    if isinstance(node, Mapping):
        if type(node.get(KEY)) is int and not node.get('class_agnostic'):
            yield f'{place}.{KEY}', node[KEY]
        node = node.items()
    elif isinstance(node, (list, tuple)):
        node = enumerate(node)
    else:
        return
    for key, value in node:
        if key not in OTHERS:
            yield from configured(value, f'{place}.{key}')


def is_other(name: str) -> bool:
    return any(part in OTHERS for part in name.split('.'))


def config_place(config: object, name: str) -> str | None:
    """The key of a module's config, which is that of all parts of a list made of it; None where there is none."""
    place = ['model']
    for part in name.split('.') if name else []:
        if isinstance(config, Mapping) and part in config:
            config = config[part]
        elif isinstance(config, (list, tuple)) and part.isdigit() and int(part) < len(config):
            config = config[int(part)]
        elif isinstance(config, Mapping) and part.isdigit():
            continue
        else:
            return None
        place.append(part)
    return '.'.join(place)


def leaves(dataset: Dataset) -> list[Dataset]:
    """The data sets in wrappers: repeated, joined, balanced, mixed ones."""
    inner = getattr(dataset, 'dataset', None)
    parts = getattr(dataset, 'datasets', None) or ([] if inner is None else [inner])
    return [leaf for part in parts for leaf in leaves(part)] if parts else [dataset]


def sample_count(dataset: Dataset) -> int:
    """The number of samples of a map-style data set, whose length torch's base class does not declare."""
    return len(cast(Sized, dataset))


def place_of(dataset: Dataset) -> str:
    """What a message calls a data set: its label file or folder."""
    return str(getattr(dataset, 'ann_file', None) or getattr(dataset, 'data_root', None) or type(dataset).__name__)


def count_classes(dataset: Dataset) -> tuple[int | None, int | None]:
    """How many classes a data set has, and how many of them are things that can be counted (panoptic data).

    None where it does not say.
    """
    meta = getattr(dataset, 'metainfo', None) or {}
    names, things = meta.get('classes'), meta.get('thing_classes')
    number = getattr(dataset, KEY, None)
    if isinstance(names, (list, tuple)) and names:
        number = len(names)
    return number if type(number) is int else None, len(things) if things else None


def require_members(loader: DataLoader) -> None:
    """Says in one line which classes have no member in a training set; no network learns to find them.

    Raises:
        UserError: none has one.
    """
    counts: Counter[str] = Counter()
    names: list[str] = []
    places = []
    for dataset in leaves(loader.dataset):
        members, classes = members_of(dataset), (getattr(dataset, 'metainfo', None) or {}).get('classes')
        if members is None or not classes:
            return
        names = list(classes)
        counts.update(dict(zip(names, members)))
        places.append(place_of(dataset))
    empty = [name for name in names if not counts[name]]
    if names and empty == names:
        raise UserError(f'{shorten(dict.fromkeys(places))}: nothing in it can be trained on: no class has a member')
    if empty:
        print_log(f'{shorten(dict.fromkeys(places))}: {len(empty)} of the {len(names)} classes are without a member in '
                  f'the training data: {shorten(map(repr, empty), 10)}{cause_of_empty(empty, names)}', 'current',
                  logging.WARNING)


def cause_of_empty(empty: list[str], names: list[str]) -> str:
    if empty != names[:1]:
        return ''
    return ('; labels count from 0: if these count from 1, subtract 1; if it is a place holder, as some tools export '
            'with the id 0, take it out of the data')


def members_of(dataset: Dataset) -> list[int] | None:
    """How many samples or objects each class of a data set has; None where nothing tells."""
    members = getattr(dataset, 'members', None)
    get_data_info = getattr(dataset, 'get_data_info', None)
    if members is not None or get_data_info is None:
        return members
    labels = [label for i in range(sample_count(dataset)) for label in labels_of(get_data_info(i))]
    if not all(type(label) is int and label >= 0 for label in labels):
        return None
    counts = Counter(labels)
    return [counts[label] for label in range(count_classes(dataset)[0] or max(labels, default=-1) + 1)]


def labels_of(info: Mapping) -> Iterable[Any]:
    """The labels of a data info, of a detection, classification or video data set of OpenMMLab."""
    if 'instances' in info:
        return [instance['bbox_label'] for instance in info['instances'] if not instance.get('ignore_flag')]
    label = info.get('gt_label', info.get('label'))
    return label if isinstance(label, (list, tuple)) else [label]
