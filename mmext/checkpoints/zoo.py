"""The short names that OpenMMLab's configs give to published weights, such as ``torchvision://resnet50``."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import cast

import mmengine

from mmext.errors import UserError, nearest
from mmext.files import read_json

# Prefix -> mmengine's table of names and URLs.
TABLES = {
    'torchvision://': 'torchvision_0.12.json',
    'modelzoo://': 'torchvision_0.12.json',  # the older word for torchvision's
    'open-mmlab://': 'openmmlab.json',
    'openmmlab://': 'openmmlab.json',
    'mmcls://': 'mmcls.json',
}
RENAMED = 'deprecated.json'


def resolve_source(source: str | Path) -> str:
    """Where the weights are that a checkpoint's name stands for.

    torchvision's weights are those of its first release of each network (``IMAGENET1K_V1``); their names are the names
    of ``ResNet`` and ``ResNeXt`` here, so that they load as they are.

    Args:
        source: a file, a URL, or one of the names that mmengine has tables for: ``torchvision://``, ``modelzoo://``,
            ``open-mmlab://``, ``openmmlab://`` and ``mmcls://``.

    Returns:
        The URL; a file or URL as it is.

    Raises:
        UserError: the table has no such name.
    """
    source = str(source)
    prefix = next((prefix for prefix in TABLES if source.startswith(prefix)), None)
    if prefix is None:
        return source
    name = source.removeprefix(prefix)
    if TABLES[prefix] == TABLES['openmmlab://']:
        name = table(RENAMED).get(name, name)
    urls = table(TABLES[prefix])
    if TABLES[prefix] == TABLES['torchvision://']:
        name = name.removesuffix('.imagenet1k_v1')
    if name not in urls:
        raise UserError(f'{source}: there are no such weights{nearest(name, urls)}; download the file and name it, or '
                        'give its URL')
    return urls[name]


@cache
def table(name: str) -> dict[str, str]:
    return cast(dict[str, str], read_json(Path(mmengine.__path__[0]) / 'hub' / name, 'table of weights'))
