"""Caltech-101 at 32 x 32 pixels, as in the C-ResNet paper."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from mmext.classification.arrays import ArrayDataset, check_labels
from mmext.classification.folders import class_folders
from mmext.classification.readers import require_folder
from mmext.data.decoding import NoImage, read_picture
from mmext.data.unreadable import cause_of_missing
from mmext.errors import UserError, shorten
from mmext.files import read_text
from mmext.registry import DATASETS

BACKGROUND = 'BACKGROUND_Google'
TEST_PER_CLASS = 10


@DATASETS.register_module()
class Caltech101(ArrayDataset):
    """Caltech-101 (Fei-Fei et al. 2004); every image is decoded once and resized to size x size pixels.

    The data set has no official split. By default the first ten images of each class by name are the test set, and all
    others the training set. The C-ResNet authors (github.com/liangjunhello/C-ResNet) split in the same way, but their
    ten images are the first of an unordered listing. To use exactly their images, put their lists ``dataset-train.txt``
    and ``dataset-val.txt`` into ``data_root`` and give them as ``ann_file``.

    Args:
        data_root: A folder with ``101_ObjectCategories`` or ``caltech-101/101_ObjectCategories``, or that folder.
        test_per_class: Number of test images of each class; 10 if no other way to split is given.
        train_per_class: Alternatively the number of training images of each class; 15 and 30 are common.
        train_share: Alternatively the share of each class for training, such as 0.8; the number is rounded.
        split_seed: Choose the test images at random with this seed, instead of the first ones by name.
        ann_file: Alternatively a list, in ``data_root``, of the images of this split: each line has a path relative to
            the folder of classes, and a label.
        background: Include the class BACKGROUND_Google, which has arbitrary images, as the first class.
        size: Side of the resized images in pixels.
        kwargs: Arguments of ``ArrayDataset``.

    Raises:
        UserError: Folders or images are missing or unreadable, or a class is too small for the split.
    """

    hint = ('download caltech-101.zip from https://data.caltech.edu/records/mzrjq-6wc02, and unpack it and the '
            '101_ObjectCategories.tar.gz in it')

    def __init__(self, data_root: str, split: str | None = None, *, test_per_class: int | None = None,
                 train_per_class: int | None = None, train_share: float | None = None, split_seed: int | None = None,
                 ann_file: str = '', background: bool = False, size: int = 32, **kwargs) -> None:
        ways = dict(test_per_class=test_per_class, train_per_class=train_per_class, train_share=train_share,
                    ann_file=ann_file or None)
        given = [name for name, value in ways.items() if value is not None]
        if len(given) > 1:
            raise UserError(f'Caltech101: {" and ".join(given)} each define the split; give only one of them')
        self.split_rule = given[0] if given else 'test_per_class'
        self.test_per_class = TEST_PER_CLASS if test_per_class is None else test_per_class
        self.train_per_class, self.train_share = train_per_class, train_share
        self.split_seed, self.ann_file, self.background, self.size = split_seed, ann_file, background, size
        super().__init__(data_root, split, **kwargs)

    def load_selected(self) -> tuple[np.ndarray, np.ndarray, Sequence[str]]:
        root = require_folder(self.data_root, self.hint)
        places = [root / 'caltech-101' / '101_ObjectCategories', root / '101_ObjectCategories']
        folder = next((place for place in places if place.is_dir()), root)
        found = class_folders(folder, self.hint, () if self.background else (BACKGROUND, ), tell=True)
        entries = self.split_by_list(found) if self.ann_file else self.split_classes(folder, found)
        kept = [entries[i] for i in self.select(len(entries))]
        images = read_small([folder / name for name, _ in kept], self.size, f'{folder} ({self.split})')
        labels = np.array([label for _, label in kept], np.int64)
        check_labels(f'{folder} ({self.split})', images, labels, len(found))
        return images, labels, tuple(found)

    def split_classes(self, folder: Path, found: dict[str, list[str]]) -> list[tuple[str, int]]:
        """This split's images, (path, label)."""
        generator = None if self.split_seed is None else np.random.default_rng(self.split_seed)
        entries = []
        for label, (name, images) in enumerate(found.items()):
            for_testing = self.for_testing(len(images))
            if not 0 < for_testing < len(images):
                raise UserError(f'{folder / name}: its {len(images)} images leave nothing to train or to test with if '
                                f'{for_testing} are used for testing; change {self.split_rule}')
            drawn = np.arange(len(images)) if generator is None else generator.permutation(len(images))
            chosen = drawn[:for_testing] if self.split == 'test' else drawn[for_testing:]
            entries += [(f'{name}/{images[i]}', label) for i in sorted(chosen)]
        return entries

    def for_testing(self, count: int) -> int:
        """The number of test images of a class with ``count`` images."""
        if self.train_per_class is not None:
            return count - self.train_per_class
        return self.test_per_class if self.train_share is None else count - round(count * self.train_share)

    def split_by_list(self, found: dict[str, list[str]]) -> list[tuple[str, int]]:
        """The images that ``ann_file`` lists, as (path, label). Raises UserError if a line is wrong."""
        path = Path(self.data_root, self.ann_file)
        lines = read_text(path, 'list of images', '; ann_file is sought in data_root').splitlines()
        labels = {f'{name}/{image}': label for label, (name, images) in enumerate(found.items()) for image in images}
        entries = []
        for number, line in enumerate(lines, 1):
            name, _, label = line.strip().rpartition(' ')
            if name not in labels:
                raise UserError(f"{path}, line {number}: there is no image {name or line!r}; a line is a path like "
                                f"'{next(iter(labels))}' and a label{cause_of_missing([name])}")
            if label != str(labels[name]):
                raise UserError(f'{path}, line {number}: label {label!r}; {name} is of class {labels[name]} of the '
                                f'{len(found)} sorted folders')
            entries.append((name, labels[name]))
        return entries


def read_small(paths: Sequence[Path], size: int, place: str) -> np.ndarray:
    """Decodes images and resizes them without keeping the aspect ratio: uint8 (N, 3, size, size) RGB.

    Raises:
        UserError: Images can't be read; the message names them.
    """
    images = np.empty((len(paths), 3, size, size), np.uint8)
    unreadable = []

    def read(i: int) -> str | None:
        try:
            image = Image.fromarray(read_picture(paths[i])[..., ::-1])
            small = image.resize((size, size), Image.Resampling.BILINEAR)
        except NoImage as error:
            return f'{paths[i].parent.name}/{paths[i].name}: {error}'
        images[i] = np.asarray(small).transpose(2, 0, 1)
        return None

    with ThreadPoolExecutor() as pool:
        for message in tqdm(pool.map(read, range(len(paths))), f'decoding {place}', len(paths), disable=None):
            if message:
                unreadable.append(message)
    if unreadable:
        raise UserError(f'{place}: {len(unreadable)} unreadable images ({shorten(unreadable)}); download them again')
    return images
