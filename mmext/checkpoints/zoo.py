"""Short names for published weights: OpenMMLab's, such as ``torchvision://resnet50``, and our own, ``mmext://``."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import cast

import mmengine

from mmext.errors import UserError, nearest
from mmext.files import read_json
from mmext.pretrained import SCHEME, pretrained_file

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
    """Resolves the short name of published weights to their URL, or to a file of this package.

    For torchvision these are the weights of the first release of each network (``IMAGENET1K_V1``). Their parameter
    names are those of our ``ResNet`` and ``ResNeXt``, so they load without conversion.

    Args:
        source: A file, a URL, or a name with a prefix that mmengine has a table for: ``torchvision://``,
            ``modelzoo://``, ``open-mmlab://``, ``openmmlab://`` or ``mmcls://``; or ``mmext://`` and one of
            ``mmext.list_pretrained()``.

    Returns:
        The URL, or the file of this package; a file or URL is returned unchanged.

    Raises:
        UserError: There are no weights of this name.
    """
    source = str(source)
    if source.startswith(SCHEME):
        return str(pretrained_file(source.removeprefix(SCHEME)))
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
