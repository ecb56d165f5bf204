"""Checks of the files of a data set, one by one, without a training."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator, Mapping, Sized
from dataclasses import dataclass
from typing import cast

from torch.utils.data import Dataset

from mmext.data.decoding import NoImage
from mmext.data.loading import LoadImage, Mismatch
from mmext.errors import cause

MISSING, UNREADABLE, OTHER_SIZE = 'missing', 'unreadable', 'of another size'


@dataclass(frozen=True)
class Trouble:
    """A file that training would go on without.

    Args:
        path: of the file, or the folder of frames.
        kind: 'missing', 'unreadable' or 'of another size'.
        reason: as training's log has it.
    """

    path: str
    kind: str
    reason: str


@dataclass(frozen=True)
class FileCheck:
    """A check of one file. It can be sent to another process.

    Args:
        path: of the file, or the folder of frames.
        read: reads it; returns the trouble, or None.
        arguments: of ``read``.
    """

    path: str
    read: Callable[..., Trouble | None]
    arguments: tuple

    def __call__(self) -> Trouble | None:
        return self.read(*self.arguments)


def steps_of(dataset: Dataset) -> list:
    """The built steps of a data set's pipeline."""
    return getattr(getattr(dataset, 'pipeline', None), 'transforms', [])


def loading_of(dataset: Dataset) -> LoadImage | None:
    """The step that reads a data set's images, where it is mmext's."""
    return next((step for step in steps_of(dataset) if isinstance(step, LoadImage)), None)


def infos_of(dataset: Dataset, key: str) -> Iterator[dict]:
    """The data infos of a built data set, one for each different value of a key that names a file.

    A data set that reads its files while it is built has none.
    """
    seen = set()
    get_data_info = getattr(dataset, 'get_data_info', None)
    if get_data_info is None:
        return
    for info in map(get_data_info, range(len(cast(Sized, dataset)))):
        path = info.get(key)
        if path is not None and path not in seen:
            seen.add(path)
            yield info


def image_checks(dataset: Dataset) -> Iterator[FileCheck]:
    """A check of each image file of a built data set."""
    loading = loading_of(dataset)
    if loading is None:
        loading = LoadImage(ignore_orientation=False)
    else:
        loading = copy.copy(loading)
        loading.max_mismatched = 1.0  # whoever runs the checks counts over all of them
    for info in infos_of(dataset, 'img_path'):
        read = {key: info[key] for key in ('img_path', 'height', 'width') if key in info}
        yield FileCheck(info['img_path'], read_image, (loading, read))


def read_image(loading: LoadImage, info: Mapping) -> Trouble | None:
    """Reads an image as training does; ``info`` has its img_path and, where it is annotated, height and width."""
    try:
        loading.read(dict(info))
    except Mismatch as error:
        return Trouble(info['img_path'], OTHER_SIZE, str(error))
    except (OSError, NoImage) as error:
        return Trouble(info['img_path'], UNREADABLE if os.path.exists(info['img_path']) else MISSING, cause(error))
    return None
