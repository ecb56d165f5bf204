"""Data sets of small images that stay in memory, handed out a batch at a time."""

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


class ArrayDataset(Dataset):
    """Labelled images of one size, all in memory in one array, which forked loader workers share.

    A loader asks for a whole batch at once (``__getitems__``), so that choosing, cropping and flipping are a few
    operations on it; its ``collate_fn`` is ``dict(type='mmext.collate_images')``.

    Args:
        data_root: where the data set was unpacked.
        split: one of ``splits``; by default the last in test mode and the first otherwise.
        pipeline: transforms of a batch, dict(inputs=uint8 (N, 3, H, W) RGB, labels=int64 (N,)).
        test_mode: see ``split``.
        limit: keep that many images, drawn at random, the same ones in every run; for trials.

    Raises:
        UserError: a file is missing, cut short or damaged, or images and labels don't agree.
    """

    splits = ('train', 'test')
    hint = ''

    def __init__(self, data_root: str, split: str | None = None, pipeline: Sequence[dict | Callable] = (),
                 test_mode: bool = False, limit: int | None = None) -> None:
        self.data_root = data_root
        self.split = split or self.splits[-1 if test_mode else 0]
        if self.split not in self.splits:
            raise UserError(f'{type(self).__name__}: split={split!r} is none of {", ".join(self.splits)}'
                            f'{nearest(self.split, self.splits)}')
        self.test_mode = test_mode
        self.limit = limit
        images, labels, classes = self.load()
        check_labels(f'{data_root} ({self.split})', images, labels, len(classes))
        kept = subset(len(labels), limit, str(data_root))
        if len(kept) < len(labels):
            images, labels = images[kept], labels[kept]
        self.images = torch.from_numpy(np.ascontiguousarray(images))
        self.labels = torch.from_numpy(labels.astype(np.int64))
        self.classes = tuple(classes)
        self.pipeline = Compose(pipeline)
        shape = ' x '.join(map(str, images.shape[1:]))
        print_log(f'{type(self).__name__}, {self.split}: {len(self):,} images of {shape} in {len(classes)} classes, '
                  f'{self.images.nbytes / 2**20:.1f} MiB of memory', 'current')

    def load(self) -> tuple[np.ndarray, np.ndarray, Sequence[str]]:
        """Reads images (N, 3, H, W) or, grey, (N, 1, H, W), of uint8, labels (N,) and the classes' names."""
        raise NotImplementedError

    @property
    def metainfo(self) -> dict:
        return dict(classes=self.classes)

    @property
    def members(self) -> list[int]:
        """How many images each class has."""
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
        """A batch: dict(inputs=uint8 (N, 3, H, W) RGB, labels=int64 (N,), names=N texts), after the pipeline."""
        chosen = np.asarray(indices)
        images = torch.from_numpy(self.images.numpy()[chosen])  # numpy: see batch_transforms.py
        batch = self.pipeline(dict(inputs=images.expand(-1, 3, -1, -1), labels=self.labels[chosen]))
        assert batch is not None
        return dict(batch, names=[f'{self.split} {index}' for index in chosen.tolist()])


def check_labels(place: str, images: np.ndarray, labels: np.ndarray, num_classes: int) -> None:
    """There are images, each has one label, and that is a class.

    Raises:
        UserError: otherwise.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3):
        raise UserError(f'{place}: the images are {images.dtype} of shape {images.shape}, not uint8 pixels of one or '
                        'three channels')
    if not all(images.shape[2:]):
        raise UserError(f'{place}: the images are of shape {images.shape}, without a pixel')
    if labels.ndim != 1 or len(images) != len(labels):
        raise UserError(f'{place}: {len(images)} images, but labels of shape {labels.shape}; get both anew')
    if not len(labels):
        raise UserError(f'{place}: there are no images')
    if labels.min() < 0 or labels.max() >= num_classes:
        raise UserError(f'{place}: labels from {labels.min()} to {labels.max()} for {num_classes} classes; is it '
                        'another data set?')


def subset(count: int, limit: int | None, place: str) -> np.ndarray:
    """The positions of the images that a ``limit`` keeps, in order: all where it is None."""
    if limit is None:
        return np.arange(count)
    if not isinstance(limit, int) or not 0 < limit <= count:
        raise UserError(f'{place}: limit={limit!r} is not a number of images from 1 to the {count} there are')
    return np.sort(np.random.default_rng(SUBSET_SEED).choice(count, limit, replace=False))


@FUNCTIONS.register_module()
def collate_images(samples: dict | Sequence[dict]) -> dict:
    """What a loader collates with: stacks samples; a ready batch goes through as it is.

    Args:
        samples: a batch, or a list of dict(inputs=uint8 (3, H, W), labels=int).

    Returns:
        dict(inputs=uint8 (N, 3, H, W), labels=int64 (N,)); and names, where the samples have them.

    Raises:
        UserError: images of different sizes.
    """
    if isinstance(samples, dict):
        return samples
    shapes = sorted({tuple(sample['inputs'].shape) for sample in samples})
    if len(shapes) > 1:
        raise UserError(f'dataset.pipeline: images of shapes {shapes[0]} and {shapes[1]} make no batch; resize or crop '
                        'them to one size')
    batch = dict(inputs=torch.stack([sample['inputs'] for sample in samples]),
                 labels=torch.tensor([sample['labels'] for sample in samples], dtype=torch.int64))
    return dict(batch, names=[sample['names'] for sample in samples]) if 'names' in samples[0] else batch
