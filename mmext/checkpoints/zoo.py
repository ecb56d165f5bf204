"""Short names for published weights in OpenMMLab's configs, such as ``torchvision://resnet50``."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import cast

import mmengine

from mmext.errors import UserError, nearest
from mmext.files import read_json

# prefix -> mmengine's table of names and URLs
TABLES = {
    'torchvision://': 'torchvision_0.12.json',
    'modelzoo://': 'torchvision_0.12.json',  # the older name of torchvision://
    'open-mmlab://': 'openmmlab.json',
    'openmmlab://': 'openmmlab.json',
    'mmcls://': 'mmcls.json',
}
RENAMED = 'deprecated.json'


def resolve_source(source: str | Path) -> str:
    """Resolves the short name of published weights to their URL.

    For torchvision these are the weights of the first release of each network (``IMAGENET1K_V1``). Their parameter
    names are those of our ``ResNet`` and ``ResNeXt``, so they load without conversion.

    Args:
        source: A file, a URL, or a name with a prefix that mmengine has a table for: ``torchvision://``,
            ``modelzoo://``, ``open-mmlab://``, ``openmmlab://`` or ``mmcls://``.

    Returns:
        The URL; a file or URL is returned unchanged.

    Raises:
        UserError: The table does not contain the name.
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
        raise UserError(f'{source}: there are no such weights{nearest(name, urls)}; give the path or URL of a file '
                        'instead')
    return urls[name]


@cache
def table(name: str) -> dict[str, str]:
    """Reads a table of mmengine: name -> URL, or for ``RENAMED`` old name -> new name."""
    return cast(dict[str, str], read_json(Path(mmengine.__path__[0]) / 'hub' / name, 'table of weights'))
