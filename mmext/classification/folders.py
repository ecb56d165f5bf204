"""Data sets with one folder per class, the layout of ImageNet and Caltech-101."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from mmengine.dataset import BaseDataset

from mmext.classification.arrays import subset as chosen_images
from mmext.classification.image_list import ImageList
from mmext.classification.readers import holding, require_folder
from mmext.data.suffixes import IMAGES
from mmext.errors import UserError, nearest, shorten
from mmext.files import print_left_out
from mmext.registry import DATASETS
from mmext.text import require_names


def class_folders(folder: Path, hint: str, ignored: Iterable[str] = (), tell: bool = False) -> dict[str, list[str]]:
    """Lists the images of each class.

    Args:
        folder: A folder with one folder per class, which contains the images of the class. Suffixes may be upper case.
        hint: The end of a message: where to get the data set.
        ignored: Folders that are not classes; hidden folders are always ignored.
        tell: Whether to print which files are left out because of their suffix.

    Returns:
        class -> file names, both sorted.

    Raises:
        UserError: The folder does not exist, has no class folders, or a class folder has no images.
    """
    names = [name for name in folder_names(require_folder(folder, hint)) if name not in ignored]
    if not names:
        images = image_files(folder)
        if images:
            raise UserError(f'{folder}: {len(images)} images, but no class folders; sort them into one folder per '
                            f'class, with the same names as for training; {hint}')
        raise UserError(f'{folder}: no class folders ({holding(folder)}); {hint}')
    found = {name: image_files(folder / name) for name in names}
    empty = [name for name, images in found.items() if not images]
    if empty:
        raise UserError(f'{folder}: no images in {len(empty)} of the {len(names)} class folders ({shorten(empty)}; '
                        f'{holding(folder / empty[0])}); remove folders that are not classes, or {hint}')
    if tell:
        print_left_out(folder, (f'{name}/{file}' for name in names for file in other_files(folder / name)), 'images')
    return found


def folder_names(folder: Path) -> list[str]:
    """The sorted names of the folders in a folder, without hidden ones."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith('.'))


def image_files(folder: Path) -> list[str]:
    """The sorted names of the images in a folder, without hidden ones."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if is_image(entry.name) and not entry.name.startswith('.'))


def other_files(folder: Path) -> list[str]:
    """The names of the files in a folder that are not images."""
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries if not is_image(entry.name) and entry.is_file()]


def is_image(name: str) -> bool:
    """Whether a file name has the suffix of an image."""
    return name.lower().endswith(IMAGES)


def require_classes(place: str, found: Iterable[str], classes: Iterable[str], whose: str,
                    subset: bool = False) -> None:
    """Checks that the class folders found are exactly the expected classes.

    Args:
        place: The folder, for the message.
        found: The names of the class folders.
        classes: The expected classes.
        whose: Where the expected classes come from, for the message.
        subset: Whether there may be further folders.

    Raises:
        UserError: Classes are missing, or there are other ones; the message names the folders that are most similar to
            a missing class.
    """
    found, classes = list(found), list(classes)
    missing = [name for name in classes if name not in set(found)]
    unknown = [name for name in found if name not in set(classes)]
    close = nearest(missing[0], unknown) if missing else ''
    if missing and subset:
        raise UserError(f'{place}: none of its {len(found)} class folders ({shorten(found)}) is called '
                        f'{shorten(map(repr, missing))}{close}')
    differences = [f'{len(names)} {what} ({shorten(names)})' for what, names in (
        ('missing', missing), ('of no class', () if subset else unknown)) if names]
    if differences:
        raise UserError(f'{place}: its {len(found)} folders are not the {len(classes)} classes of {whose}: '
                        f'{", ".join(differences)}{close}')


@DATASETS.register_module()
class ImageFolder(BaseDataset):
    """A data set in ImageNet's layout: ``data_root/train/<class>/*.JPEG`` and ``data_root/val/<class>/*.JPEG``.

    The pipeline starts with dict(img_path=str, gt_label=int).

    Args:
        data_root: The folder of the data set.
        split: The folder of the split; by default ``val`` in test mode and ``train`` otherwise.
        metainfo: ``classes`` may list the class folders in the order of the labels. By default they are the sorted
            folders of ``train``, or of ``split`` if there is no ``train``.
        subset: Whether there may be folders of further classes, which are left out.
        pipeline: Transforms of an image.
        test_mode: See ``split``. In test mode it is an error if the pipeline rejects an image.
        limit: For trials: use only this many images, chosen at random but the same in every run.
        max_refetch: How many other images are tried in place of one that the pipeline rejects.

    Attributes:
        members: The number of images of each class.

    Raises:
        UserError: The folder or its class folders do not exist, a class folder has no images, or the classes differ
            from those of training.
    """

    hint = 'the layout is <data_root>/{train,val}/<class>/*.JPEG; ImageNet is at https://image-net.org/download'

    def __init__(self, data_root: str, split: str | None = None, metainfo: dict | None = None,
                 pipeline: Sequence[dict | Callable] = (), test_mode: bool = False, limit: int | None = None,
                 subset: bool = False, max_refetch: int = 1000) -> None:
        self.split = split or ('val' if test_mode else 'train')
        self.limit = limit
        self.subset = subset
        super().__init__(data_root=data_root, data_prefix=dict(img_path=self.split), metainfo=metainfo,
                         pipeline=list(pipeline), test_mode=test_mode, max_refetch=max_refetch, serialize_data=False)

    @classmethod
    def classes_from(cls, config: dict) -> tuple[str, ...]:
        """The class folders of the training images of a data set's config."""
        return tuple(class_folders(Path(config.get('data_root') or '', 'train'), cls.hint))

    def load_data_list(self) -> ImageList:
        """Lists the images, and sets ``classes`` and ``members``."""
        folder = Path(self.data_prefix['img_path'])
        found = class_folders(folder, self.hint, tell=True)
        train = Path(self.data_root or '', 'train')
        if self._metainfo.get('classes'):
            classes, whose = self._metainfo['classes'], 'metainfo'
        elif self.split != 'train' and train.is_dir():
            classes, whose = folder_names(train), str(train)
        else:
            classes, whose = list(found), str(folder)
        require_names(classes, whose)
        require_classes(str(folder), found, classes, whose, self.subset)
        self._metainfo['classes'] = tuple(classes)
        images = ImageList(folder, classes, (found[name] for name in classes))
        if self.limit is not None:
            images.keep(chosen_images(len(images), self.limit, str(folder)))
        self.members = images.members()
        return images
