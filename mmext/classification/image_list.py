"""Many image files and their labels in two arrays, which workers share."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np


class ImageList(Sequence):
    """The images of class folders, as dicts that are made when they are asked for.

    1.28 million dicts take a gigabyte while they are made; the arrays take 41 bytes an image.

    Args:
        folder: that the classes' folders lie in.
        classes: their names, in the order of the labels.
        names: the file names of each class, in the same order.
    """

    def __init__(self, folder: Path, classes: Sequence[str], names: Iterable[Sequence[str]]) -> None:
        self.folder = folder
        self.classes = tuple(classes)
        parts, lengths, counts = [], [], []
        for of_class in names:
            encoded = [os.fsencode(name) for name in of_class]
            parts.append(b''.join(encoded))
            lengths.append(np.fromiter(map(len, encoded), np.int64, len(encoded)))
            counts.append(len(encoded))
        self.bytes = np.frombuffer(b''.join(parts), np.uint8)
        self.ends = np.cumsum(np.concatenate(lengths)) if lengths else np.zeros(0, np.int64)
        self.labels = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
        self.places = np.arange(len(self.labels), dtype=np.int64)

    def keep(self, places: np.ndarray) -> None:
        """Leaves the images at these positions, in their order."""
        self.places = self.places[places]

    def members(self) -> list[int]:
        """How many images each class has."""
        return np.bincount(self.labels[self.places], minlength=len(self.classes)).tolist()

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int | slice) -> dict | list[dict]:
        """dict(img_path, gt_label) of an image, or a list of them."""
        if isinstance(index, slice):
            return [self.info(i) for i in range(*index.indices(len(self)))]
        return self.info(index)

    def info(self, index: int) -> dict:
        """dict(img_path, gt_label) of an image."""
        place = int(self.places[index])
        begin = int(self.ends[place - 1]) if place else 0
        name = os.fsdecode(self.bytes[begin:int(self.ends[place])].tobytes())
        label = int(self.labels[place])
        return dict(img_path=os.path.join(self.folder, self.classes[label], name), gt_label=label)
