"""Annotation formats of object detection, read and written: COCO, Pascal VOC, YOLO, LabelMe and CVAT.

A reader returns a ``Source`` and a writer takes one. Boxes in between are x, y, width and height in pixels, as in COCO:
x = 0 is the left edge of the first column.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Protocol, cast

from mmext.detection.formats.pictures import Source

FORMATS = dict(coco='COCO', voc='Pascal VOC', yolo='YOLO', labelme='LabelMe', cvat='CVAT')


class Format(Protocol):
    """The module of a format."""

    def read(self, source: Path, images: Path | None) -> Source:
        """Reads annotations whose images are in a folder, by default the format's usual one.

        Raises:
            UserError: files are missing or malformed.
        """
        ...

    def write(self, folder: Path, source: Source) -> None:
        """Writes annotations into the folder of a data set, whose images are at ``image_place``."""
        ...

    def image_place(self, split: str) -> str:
        """The folder of a split's images, relative to that of the data set."""
        ...


def format_of(name: str) -> Format:
    """The module of a format, a key of ``FORMATS``."""
    return cast(Format, importlib.import_module(f'mmext.detection.formats.{name}'))
