"""Data sets of small images that are kept in memory and return whole batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from mmengine.dataset import Compose
from mmengine.logging import print_log
from torch.utils.data import Dataset

from mmext.errors import UserError, nearest
from mmext.registry import FUNCTIONS

SUBSET_SEED = 0
HELD_OUT = 'held_out'


class ArrayDataset(Dataset):
    """Base class of data sets of labelled images of one size, kept in one array that forked workers share.

    A data loader fetches a whole batch at once (``__getitems__``), so that selecting, cropping and flipping are a few
    operations on the batch. The ``collate_fn`` of the loader must be ``dict(type='mmext.collate_images')``.

    Args:
        data_root: The folder with the data set.
        split: One of ``splits``; by default the last one in test mode and the first one otherwise.
        pipeline: Transforms of a batch, dict(inputs=uint8 (N, 3, H, W) RGB, labels=int64 (N,)).
        test_mode: See ``split``.
        limit: For trials: use only this many images, chosen at random but the same in every run.
        held_out: Keep this many images of the training set, chosen likewise, for the choice of hyper-parameters. The
            split ``train`` then has the other images, and these are the split ``held_out``. None leaves the training
            set whole.

    Attributes:
        images: uint8 (N, 3, H, W) RGB or (N, 1, H, W) grey.
        labels: int64 (N,).
        classes: The names of the classes.

    Raises:
        UserError: A file is missing, truncated or damaged, or images and labels do not match.
    """

    splits = ('train', 'test')
    hint = ''

    def __init__(self, data_root: str, split: str | None = None, pipeline: Sequence[dict | Callable] = (),
                 test_mode: bool = False, limit: int | None = None, held_out: int | None = None) -> None:
        self.data_root = data_root
        self.test_mode = test_mode
        self.limit = limit
        self.held_out = held_out
        self.split = split or self.splits[-1 if test_mode else 0]
        self.check_split()
        images, labels, classes = self.load_selected()
        self.images = torch.from_numpy(np.ascontiguousarray(images))
        self.labels = torch.from_numpy(labels.astype(np.int64))
        self.classes = tuple(classes)
        self.pipeline = Compose(pipeline)
        shape = ' x '.join(map(str, images.shape[1:]))
        print_log(f'{type(self).__name__}, {self.split}: {len(self):,} images of {shape} in {len(classes)} classes, '
                  f'{self.images.nbytes / 2**20:.1f} MiB of memory', 'current')

    @property
    def files_split(self) -> str:
        """The split whose files are read: one of ``splits``."""
        return self.splits[0] if self.split == HELD_OUT else self.split

    def check_split(self) -> None:
        """Raises UserError if the split does not exist, or is ``held_out`` without the number of its images."""
        if self.split == HELD_OUT and self.held_out is None:
            raise UserError(f"{type(self).__name__}: split='{HELD_OUT}' needs {HELD_OUT}, the number of its images")
        if self.files_split not in self.splits:
            raise UserError(f'{type(self).__name__}: split={self.split!r} is not one of {", ".join(self.splits)}'
                            f'{nearest(self.split, self.splits)}')

    def select(self, count: int) -> np.ndarray:
        """The sorted indices of the images to keep, of the ``count`` that the files have."""
        kept = np.arange(count)
        if self.held_out is not None and self.files_split == self.splits[0]:
            kept = part_of_training(count, self.held_out, self.split == HELD_OUT, str(self.data_root))
        return kept[subset(len(kept), self.limit, str(self.data_root))]

    def load_selected(self) -> tuple[np.ndarray, np.ndarray, Sequence[str]]:
        """What ``load`` returns, of the images to keep."""
        images, labels, classes = self.load()
        check_labels(f'{self.data_root} ({self.split})', images, labels, len(classes))
        kept = self.select(len(labels))
        return (images, labels, classes) if len(kept) == len(labels) else (images[kept], labels[kept], classes)

    def load(self) -> tuple[np.ndarray, np.ndarray, Sequence[str]]:
        """Reads the images, uint8 (N, 3, H, W) or grey (N, 1, H, W), the labels (N,) and the names of the classes."""
        raise NotImplementedError

    @property
    def metainfo(self) -> dict:
        """A dict with ``classes``, as mmengine's data sets have it."""
        return dict(classes=self.classes)

    @property
    def members(self) -> list[int]:
        """The number of images of each class."""
        return self.labels.bincount(minlength=len(self.classes)).tolist()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict:
        """One sample: dict(inputs=uint8 (3, H, W), labels=int)."""
        if not -len(self) <= index < len(self):
            raise IndexError(f'image {index} of {len(self)}')
        batch = self.__getitems__([index])
        return dict(inputs=batch['inputs'][0], labels=int(batch['labels'][0]))

    def __getitems__(self, indices: Sequence[int]) -> dict:
        """A batch after the pipeline: dict(inputs=uint8 (N, 3, H, W) RGB, labels=int64 (N,), names=list of N str)."""
        chosen = np.asarray(indices)
        images = torch.from_numpy(self.images.numpy()[chosen])  # numpy is faster, see batch_transforms.py
        batch = self.pipeline(dict(inputs=images.expand(-1, 3, -1, -1), labels=self.labels[chosen]))
        assert batch is not None
        return dict(batch, names=[f'{self.split} {index}' for index in chosen.tolist()])


def check_labels(place: str, images: np.ndarray, labels: np.ndarray, num_classes: int) -> None:
    """Checks that there are images in a valid form, and that each has a label of an existing class.

    Args:
        place: Where the images come from, for the message.
        images: Expected to be uint8 (N, 1 or 3, H, W).
        labels: Expected to be (N,), from 0 to ``num_classes`` - 1.
        num_classes: Number of classes.

    Raises:
        UserError: The check fails.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3):
        raise UserError(f'{place}: the images are {images.dtype} of shape {images.shape}, not uint8 pixels of one or '
                        'three channels')
    if not all(images.shape[2:]):
        raise UserError(f'{place}: the images are of shape {images.shape}, without any pixels')
    if labels.ndim != 1 or len(images) != len(labels):
        raise UserError(f'{place}: {len(images)} images, but labels of shape {labels.shape}; download both again')
    if not len(labels):
        raise UserError(f'{place}: there are no images')
    if labels.min() < 0 or labels.max() >= num_classes:
        raise UserError(f'{place}: labels from {labels.min()} to {labels.max()} for {num_classes} classes; is it '
                        'another data set?')


def subset(count: int, limit: int | None, place: str) -> np.ndarray:
    """The sorted indices of the images that ``limit`` selects; all if it is None. Raises UserError if it is too large.
    """
    if limit is None:
        return np.arange(count)
    if not isinstance(limit, int) or not 0 < limit <= count:
        raise UserError(f'{place}: limit={limit!r} is not a number from 1 to {count}, the number of images')
    return np.sort(np.random.default_rng(SUBSET_SEED).choice(count, limit, replace=False))


def part_of_training(count: int, held_out: int, wanted: bool, place: str) -> np.ndarray:
    """The sorted indices of the ``held_out`` images that are kept aside if ``wanted``, and of the others if not.

    Raises UserError if one of the two parts would be empty.
    """
    if not isinstance(held_out, int) or not 0 < held_out < count:
        raise UserError(f'{place}: held_out={held_out!r} is not a number from 1 to {count - 1}; there are {count} '
                        'training images')
    aside = subset(count, held_out, place)
    return aside if wanted else np.setdiff1d(np.arange(count), aside)


@FUNCTIONS.register_module()
def collate_images(samples: dict | Sequence[dict]) -> dict:
    """Collate function for data loaders: stacks samples into a batch. A batch is returned unchanged.

    Args:
        samples: A batch, or a list of dict(inputs=uint8 (3, H, W), labels=int).

    Returns:
        dict(inputs=uint8 (N, 3, H, W), labels=int64 (N,)), with ``names`` if the samples have them.

    Raises:
        UserError: The images have different sizes.
    """
    if isinstance(samples, dict):
        return samples
    shapes = sorted({tuple(sample['inputs'].shape) for sample in samples})
    if len(shapes) > 1:
        raise UserError(f"dataset.pipeline: images of shapes {shapes[0]} and {shapes[1]} can't be batched; resize or "
                        'crop them to one size')
    batch = dict(inputs=torch.stack([sample['inputs'] for sample in samples]),
                 labels=torch.tensor([sample['labels'] for sample in samples], dtype=torch.int64))
    return dict(batch, names=[sample['names'] for sample in samples]) if 'names' in samples[0] else batch
