"""Checks before a run that a model and its data sets have the same classes."""

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
# Parts whose num_classes is not the data set's: proposals, semantic maps with other labels, parts before the heads.
OTHERS = ('rpn', 'rpn_head', 'semantic_head', 'backbone', 'neck')


def require_agreement(config: Config, model: nn.Module, loaders: Mapping[str, DataLoader]) -> None:
    """Checks that a model has as many classes as the data sets.

    Args:
        config: the config of both; the message names its keys.
        model: the model built from it.
        loaders: the built loaders by their keys, such as 'train_dataloader'.

    Raises:
        UserError: the numbers differ.
    """
    if getattr(model, 'language_model', None) is not None:  # its classes are given as text
        return
    heads = numbers_of_classes(config.get('model') or {}, model)
    for loader in loaders.values():
        for dataset in leaves(loader.dataset):
            require_classes(heads, dataset)


def require_classes(heads: Mapping[str, int], dataset: Dataset) -> None:
    """Raises a UserError if a head does not have the classes of a data set.

    Args:
        heads: key in the config -> number of classes.
        dataset: the data set.
    """
    require_categories(dataset)
    count, things = count_classes(dataset)
    stated = f'{count} classes'
    if count is None:  # labels without names
        count = len(members_of(dataset) or ())
        stated = f'labels up to {count - 1}'
        heads = {key: min(number, count) for key, number in heads.items()}
    wrong = {key: number for key, number in heads.items() if count and number not in (count, things)}
    if wrong:
        options = ' '.join(f'{key}={count}' for key in wrong)
        numbers = shorten(f'{key} is {number}' for key, number in wrong.items())
        raise UserError(f'{place_of(dataset)}: {stated}, but {numbers}; give --classes auto or --cfg-options {options}')


def require_categories(dataset: Dataset) -> None:
    """Raises a UserError if a COCO file lacks classes: mmdet would shift the labels of the others."""
    count, _ = count_classes(dataset)
    categories = getattr(dataset, 'cat_ids', None)
    if count and isinstance(categories, list) and len(categories) < count:
        raise UserError(f"{place_of(dataset)}: {len(categories)} of the config's {count} classes are among its "
                        'categories; --classes auto takes them from the file')


def numbers_of_classes(config: Mapping, model: nn.Module) -> dict[str, int]:
    """The ``num_classes`` of every part of a model that distinguishes the classes of the data set.

    Args:
        config: the config of the model.
        model: the built model, which also has the values that the config leaves to a default.

    Returns:
        key in the config, such as 'model.roi_head.bbox_head.0.num_classes' -> number.
    """
    stated, implied = dict(configured(config, 'model')), {}
    for name, part in model.named_modules():
        number = getattr(part, KEY, None)
        if type(number) is int and not is_other(name) and not getattr(part, 'class_agnostic', False):
            place = config_place(config, name)
            (implied if place is None else stated)[f'{place or f"model.{name}"}.{KEY}'] = number
    return stated or implied


def configured(node: object, place: str) -> Iterator[tuple[str, int]]:
    """Yields each ``num_classes`` in a config, including those that no module stores (batch mixing transforms)."""
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
    """Whether a module or key belongs to a part whose classes are not the data set's."""
    return any(part in OTHERS for part in name.split('.'))


def config_place(config: object, name: str) -> str | None:
    """The config key of a module, shared by all modules of a list built from it; None if the config has none."""
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
    """The innermost data sets of a wrapper that repeats, concatenates, balances or mixes them."""
    inner = getattr(dataset, 'dataset', None)
    parts = getattr(dataset, 'datasets', None) or ([] if inner is None else [inner])
    return [leaf for part in parts for leaf in leaves(part)] if parts else [dataset]


def sample_count(dataset: Dataset) -> int:
    """The number of samples of a map-style data set, whose length torch's base class does not declare."""
    return len(cast(Sized, dataset))


def place_of(dataset: Dataset) -> str:
    """The name of a data set in messages: its annotation file or folder."""
    return str(getattr(dataset, 'ann_file', None) or getattr(dataset, 'data_root', None) or type(dataset).__name__)


def count_classes(dataset: Dataset) -> tuple[int | None, int | None]:
    """(number of classes, number of thing classes in panoptic data); None for what the data set does not state."""
    meta = getattr(dataset, 'metainfo', None) or {}
    names, things = meta.get('classes'), meta.get('thing_classes')
    number = getattr(dataset, KEY, None)
    if isinstance(names, (list, tuple)) and names:
        number = len(names)
    return number if type(number) is int else None, len(things) if things else None


def require_members(loader: DataLoader) -> None:
    """Warns in one line about the classes of a training set that have no samples or objects.

    Raises:
        UserError: no class has any.
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
        raise UserError(f'{shorten(dict.fromkeys(places))}: nothing in it can be trained on: no class has a sample')
    if empty:
        print_log(f'{shorten(dict.fromkeys(places))}: {len(empty)} of the {len(names)} classes have no samples in '
                  f'the training data: {shorten(map(repr, empty), 10)}{explain_empty_classes(empty, names)}', 'current',
                  logging.WARNING)


def explain_empty_classes(empty: list[str], names: list[str]) -> str:
    """The probable cause if the first class alone is empty, else ''."""
    if empty != names[:1]:
        return ''
    return ('; labels count from 0: if these count from 1, subtract 1; if it is a placeholder, which some tools '
            'export with the id 0, remove it from the data')


def members_of(dataset: Dataset) -> list[int] | None:
    """The number of samples or objects of each class of a data set; None if it can't be determined."""
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
    """The labels in a data info of an OpenMMLab data set for detection, classification or videos."""
    if 'instances' in info:
        return [instance['bbox_label'] for instance in info['instances'] if not instance.get('ignore_flag')]
    label = info.get('gt_label', info.get('label'))
    return label if isinstance(label, (list, tuple)) else [label]
