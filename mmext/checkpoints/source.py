"""What the words that name a checkpoint stand for: a path, or a URL."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from mmext.checkpoints.download import download
from mmext.errors import UserError

URLS = ('http', 'https')
# Prefixes of model zoos, such as 'torchvision': what stands behind '://' -> its URL. UserError for an unknown name.
MODEL_ZOOS: dict[str, Callable[[str], str]] = {}


def find_source(source: str | Path) -> Path:
    """The local file that a checkpoint's name stands for: a path (with ``~``), or a URL, which is downloaded.

    Raises:
        UserError: there is no such file, it can't be downloaded, or the name begins with a prefix that is not known
            here (``s3://``, ``petrel://``, ``pavi://``).
    """
    prefix, separator, rest = str(source).partition('://')
    if separator and re.fullmatch(r'[\w.+:-]+', prefix):
        if prefix in MODEL_ZOOS:
            return find_source(MODEL_ZOOS[prefix](rest))
        if prefix.lower() not in URLS:
            known = ', '.join(f'{name}://' for name in (*URLS, *MODEL_ZOOS))
            raise UserError(f'{source}: checkpoints are read from a path, or from {known}; download it, and give the '
                            'path of the file')
        return download(str(source))
    path = Path(source).expanduser()
    if not path.is_file():
        raise UserError(f'{source}: no such checkpoint')
    return path
