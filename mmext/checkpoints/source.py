"""Resolving the name of a checkpoint, a path or a URL, to a local file."""

from __future__ import annotations

import re
from pathlib import Path

from mmext.checkpoints.download import download
from mmext.checkpoints.zoo import TABLES, resolve_source
from mmext.errors import UserError
from mmext.pretrained import SCHEME

URLS = ('http', 'https')


def find_source(source: str | Path) -> Path:
    """Returns the local file of a checkpoint, given as a path (``~`` is expanded) or as a URL, which is downloaded.

    Short names, such as ``torchvision://resnet50``, stand for URLs or for files of this package
    (``zoo.resolve_source``).

    Raises:
        UserError: The file does not exist, can't be downloaded, or has an unsupported URL scheme (``s3://``,
            ``petrel://``, ``pavi://``).
    """
    source = resolve_source(source)
    prefix, separator, _ = source.partition('://')
    if separator and re.fullmatch(r'[\w.+:-]+', prefix):
        if prefix.lower() not in URLS:
            known = ', '.join([*(f'{name}://' for name in URLS), *TABLES, SCHEME])
            raise UserError(f'{source}: checkpoints are read from a path, or from {known}; download it, and give '
                            'the path of the file')
        return download(source)
    path = Path(source).expanduser()
    if not path.is_file():
        raise UserError(f'{source}: no such checkpoint')
    return path
