"""Samples of a data set after the whole pipeline, and counts of its classes and boxes."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope
from torch.utils.data import Dataset

from mmext.engine.agreement import leaves, members_of, place_of, sample_count
from mmext.engine.build import explained_build_errors
from mmext.engine.hooks.reproducible import seed_everything
from mmext.engine.resume.generators import seed_for
from mmext.errors import UserError
from mmext.samples import Shown
from mmext.screen import bar
from mmext.task import Task, task_of

BOXES_OF = 200  # samples whose boxes are compared with the anchors


@dataclass(frozen=True)
class Boxes:
    """The boxes of some samples, at the size of the network's input.

    Args:
        samples: of how many samples.
        sizes: (n, 2), width and height in pixels.
        best: (n,), the IoU with the best anchor; None without anchors.
        least_iou: the threshold of the assigner; None without anchors.
        shapes: (m, 2), the widths and heights of the anchors; None without anchors.
    """

    samples: int
    sizes: np.ndarray
    best: np.ndarray | None
    least_iou: float | None
    shapes: np.ndarray | None


@dataclass(frozen=True)
class Browsed:
    """What the page shows.

    Args:
        place: the annotation file or folder.
        count: the number of samples of the data set.
        shown: the samples that are drawn.
        classes: the names of the classes; '' for a data set without names.
        members: class -> number of objects or samples; None if they can't be counted.
        boxes: None for a task without boxes.
        unit: what is counted: 'objects', 'videos' or 'images'.
    """

    place: str
    count: int
    shown: list[Shown]
    classes: tuple[str, ...]
    members: dict[str, int] | None
    boxes: Boxes | None
    unit: str


def look_at(config: Config, split: str, count: int, seed: int) -> Browsed:
    """Builds a data set of a config and draws samples from it.

    Args:
        config: that ``make_safe`` has prepared.
        split: 'train', 'val' or 'test'.
        count: the number of samples to show.
        seed: of the choice of samples, and of the random numbers of their augmentation.

    Raises:
        UserError: the config has no such data set, or it can't be built.
    """
    task = task_of(config)
    dataset = build_dataset(config, split)
    total = sample_count(dataset)
    order = np.random.default_rng(seed).permutation(total).tolist()
    looked_at = order[:max(count, BOXES_OF) if task.lays_anchors else count]
    samples = [sample_of(dataset, index, seed, task) for index in bar('samples', 'sample', looked_at)]
    names, members = class_counts(dataset)
    with_boxes = [sample for sample in samples if sample.boxes is not None]
    return Browsed(', '.join(dict.fromkeys(map(place_of, leaves(dataset)))), total, samples[:count], names, members,
                   measure_boxes(config, task, with_boxes) if with_boxes else None,
                   dict(detection='objects', recognition='videos').get(task.name, 'images'))


def build_dataset(config: Config, split: str) -> Dataset:
    """The data set of a loader."""
    loader = config.get(f'{split}_dataloader') or {}
    if not loader.get('dataset'):
        raise UserError(f'{split}_dataloader: this config has no such data set')
    scope = config.get('default_scope') or 'mmengine'
    with DefaultScope.overwrite_default_scope(scope), explained_build_errors(config):
        dataset = DATASETS.build(copy.deepcopy(loader['dataset']))
        if hasattr(dataset, 'full_init'):
            dataset.full_init()
    if not sample_count(dataset):
        raise UserError(f'{place_of(dataset)}: no sample is left after filtering')
    return dataset


def sample_of(dataset: Dataset, index: int, seed: int, task: Task) -> Shown:
    """A sample whose augmentation depends on the seed and the index alone."""
    seed_everything(seed_for(seed, index))
    return task.shown(dataset[index])


def class_counts(dataset: Dataset) -> tuple[tuple[str, ...], dict[str, int] | None]:
    """The names of the classes of a data set; and name -> count, added up over its parts."""
    names: tuple[str, ...] = ()
    total: dict[str, int] | None = {}
    for leaf in leaves(dataset):
        names = tuple((getattr(leaf, 'metainfo', None) or {}).get('classes') or names)
        counts = members_of(leaf)
        if counts is None or not names or total is None:
            total = None
            continue
        for name, number in zip(names, counts):
            total[name] = total.get(name, 0) + number
    return names, total


def measure_boxes(config: Config, task: Task, samples: list[Shown]) -> Boxes:
    """Compares the boxes of samples with the anchors that the model lays over each."""
    sizes, best, by_size = [], [], {}
    for sample in samples:
        size = sample.frames[0].shape[:2]
        if size not in by_size:
            by_size[size] = task.anchors(config, size)
        anchors, boxes = by_size[size], np.asarray(sample.boxes, float)
        sizes.append(boxes[:, 2:] - boxes[:, :2])
        if anchors is not None:
            best.append(best_iou(boxes, anchors.boxes))
    known = next((anchors for anchors in by_size.values() if anchors is not None), None)
    shapes = [anchors.shapes for anchors in by_size.values() if anchors is not None]
    return Boxes(len(samples), np.concatenate(sizes), np.concatenate(best) if best else None,
                 known.least_iou if known else None, np.unique(np.concatenate(shapes), axis=0) if shapes else None)


def best_iou(boxes: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """The IoU of each box (n, 4) with its best anchor (m, 4); both are x1, y1, x2, y2."""
    found = np.zeros(len(boxes))
    areas = (anchors[:, 2:] - anchors[:, :2]).prod(1)
    for i, box in enumerate(boxes):
        sides = np.minimum(box[2:], anchors[:, 2:]) - np.maximum(box[:2], anchors[:, :2])
        common = sides.clip(min=0).prod(1)
        found[i] = (common / (areas + (box[2:] - box[:2]).prod() - common).clip(min=1e-9)).max(initial=0)
    return found
