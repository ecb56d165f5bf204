"""Images in one folder a class: the layout of ImageNet and Caltech-101."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from mmengine.dataset import BaseDataset

from mmext.classification.arrays import subset
from mmext.classification.readers import holding, require_folder
from mmext.data.suffixes import IMAGES
from mmext.errors import UserError, shorten
from mmext.files import tell_left_out
from mmext.registry import DATASETS
from mmext.text import require_names


def class_folders(folder: Path, hint: str, ignored: Iterable[str] = (), tell: bool = False) -> dict[str, list[str]]:
    """Lists the images of each class.

    Args:
        folder: holds one folder a class, and in each its images, whose extension may be in capitals.
        hint: ends a message: where to get what.
        ignored: folders that are no class; hidden ones are none anyway.
        tell: say in a line which files are left out because of their suffix.

    Returns:
        class -> file names, both sorted.

    Raises:
        UserError: there is no such folder, it has no class folders, or one of them has no images.
    """
    names = [name for name in folder_names(require_folder(folder, hint)) if name not in ignored]
    if not names:
        images = image_files(folder)
        if images:
            raise UserError(f'{folder}: {len(images)} images, but no class folders; sort them into one folder a class, '
                            f'named as those of the training images; {hint}')
        raise UserError(f'{folder}: no class folders ({holding(folder)}); {hint}')
    found = {name: image_files(folder / name) for name in names}
    empty = [name for name, images in found.items() if not images]
    if empty:
        raise UserError(f'{folder}: no images in {len(empty)} of the {len(names)} class folders ({shorten(empty)}; '
                        f'{holding(folder / empty[0])}); remove what is no class, or {hint}')
    if tell:
        tell_left_out(folder, (f'{name}/{file}' for name in names for file in other_files(folder / name)), 'images')
    return found


def folder_names(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith('.'))


def image_files(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if is_image(entry.name) and not entry.name.startswith('.'))


def other_files(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries if not is_image(entry.name) and entry.is_file()]


def is_image(name: str) -> bool:
    return name.lower().endswith(IMAGES)


def require_classes(place: str, found: Iterable[str], classes: Iterable[str], whose: str) -> None:
    """The class folders are these classes.

    Raises:
        UserError: classes are missing, or there are others.
    """
    found, classes = list(found), list(classes)
    missing = [name for name in classes if name not in set(found)]
    unknown = [name for name in found if name not in set(classes)]
    differences = [f'{len(names)} {what} ({shorten(names)})' for what, names in (('missing', missing),
                                                                               ('of no class', unknown)) if names]
    if differences:
        raise UserError(f'{place}: its {len(found)} folders are not the {len(classes)} classes of {whose}: '
                        f'{", ".join(differences)}')


@DATASETS.register_module()
class ImageFolder(BaseDataset):
    """ImageNet's layout: ``data_root/train/<class>/*.JPEG``, ``data_root/val/<class>/*.JPEG``.

    Data infos are dict(img_path, gt_label).

    Args:
        data_root: of the data set.
        split: the folder in it; by default ``val`` in test mode and ``train`` otherwise.
        metainfo: ``classes`` may name the class folders, in the order of the labels. By default they are the sorted
            folders of ``train``, or of ``split`` where there is no ``train``.
        pipeline: transforms of an image.
        test_mode: see ``split``; an image that the pipeline leaves out is an error then.
        limit: keep that many images, drawn at random, the same ones in every run; for trials.
        max_refetch: how often another image is drawn in place of one that the pipeline leaves out.

    Attributes:
        members: how many images each class has.

    Raises:
        UserError: no such folder, no class folders, one without images, or other classes than in training.
    """

    hint = 'the layout is <data_root>/{train,val}/<class>/*.JPEG; ImageNet is at https://image-net.org/download'

    def __init__(self, data_root: str, split: str | None = None, metainfo: dict | None = None,
                 pipeline: Sequence[dict | Callable] = (), test_mode: bool = False, limit: int | None = None,
                 max_refetch: int = 1000) -> None:
        self.split = split or ('val' if test_mode else 'train')
        self.limit = limit
        super().__init__(data_root=data_root, data_prefix=dict(img_path=self.split), metainfo=metainfo,
                         pipeline=list(pipeline), test_mode=test_mode, max_refetch=max_refetch)

    @classmethod
    def classes_from(cls, config: dict) -> tuple[str, ...]:
        """The class folders of such a data set's training images."""
        return tuple(class_folders(Path(config.get('data_root') or '', 'train'), cls.hint))

    def load_data_list(self) -> list[dict]:
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
        require_classes(str(folder), found, classes, whose)
        self._metainfo['classes'] = tuple(classes)
        entries = [dict(img_path=os.path.join(folder, name, image), gt_label=label)
                   for label, name in enumerate(classes) for image in found[name]]
        kept = [entries[i] for i in subset(len(entries), self.limit, str(folder))]
        members = Counter(entry['gt_label'] for entry in kept)
        self.members = [members[label] for label in range(len(classes))]
        return kept
