"""Creating and listing networks by name, as in timm: ``create_backbone('iresnet50')``."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from mmext.backbones.backbone import Backbone
from mmext.backbones.timm_options import translate_timm_options
from mmext.backbones.weights import load_pretrained
from mmext.errors import UserError, nearest
from mmext.pretrained import SCHEME, choose_weights

PAPERS = {
    'iresnet': 'Improved Residual Networks for Image and Video Recognition (Duta et al., arXiv 2004.04989)',
    'cresnet': 'C-ResNet (Liang et al.)',
    'recursive': 'Recursion formulas (Liao et al.)',
    'rir': 'ResNet in ResNet (Targ et al., arXiv 1603.08029)',
}


def families() -> list[type[Backbone]]:
    """All families that have been defined so far, in the order of their definition.

    If a class has been defined again under its own name, as by running a notebook cell twice, only the latest counts.
    """
    found = {}
    pending = [Backbone]
    while pending:
        cls = pending.pop(0)
        pending += cls.__subclasses__()
        if 'family' in vars(cls):
            found[cls.__module__, cls.__qualname__] = cls
    return list(found.values())


def catalogue() -> dict[str, tuple[type[Backbone], dict]]:
    """Maps the name of every network to (class, constructor arguments), in the order of definition."""
    return {name: (cls, arguments) for cls in families() for name, arguments in cls.names().items()}


def find_backbone(name: str) -> tuple[type[Backbone], dict]:
    """Looks up the class and constructor arguments of a network.

    Raises:
        UserError: The name does not exist; the message suggests similar names.
    """
    known = catalogue()
    if not isinstance(name, str):
        raise UserError(f'no backbone {name!r}: need a name (mmext.list_backbones() lists all names)')
    if name not in known:
        raise UserError(f'no backbone {name!r}{nearest(name, known)} (mmext.list_backbones() lists all names)')
    return known[name]


def list_backbones(pattern: str = '*', by_paper: bool = False) -> list[str] | dict[str, list[str]]:
    """Lists the names of networks.

    Args:
        pattern: Shell pattern that the names must match, such as 'ires*'.
        by_paper: Whether to group the names by paper.

    Returns:
        The sorted names; with ``by_paper`` a dict from paper (a key of ``PAPERS``) to names.
    """
    known = catalogue()
    matching = [name for name in known if fnmatch(name, pattern)]
    if not by_paper:
        return sorted(matching)
    papers: dict[str, list[str]] = {paper: [] for paper in PAPERS}
    for name in matching:
        papers.setdefault(known[name][0].paper, []).append(name)
    return {paper: names for paper, names in papers.items() if names}


def is_named(backbone: Mapping, name: str) -> bool:
    """Whether the ``backbone`` dict of a config describes the network ``name``; further arguments are ignored.

    An argument that the dict does not give has the default of the class.
    """
    cls, arguments = catalogue()[name]
    if backbone.get('type') != f'mmext.{cls.__name__}':
        return False
    known = inspect.signature(cls).parameters
    return all(backbone.get(key, known[key].default if key in known else None) == value
               for key, value in arguments.items())


def name_of(backbone: Mapping) -> str | None:
    """The name of a config's ``backbone``; None where it has none.

    Where several names fit, it is the one that fixes the most arguments: ``all_cnn_c_init``, not ``all_cnn_c``.
    """
    matching = [name for name in catalogue() if is_named(backbone, name)]
    return max(matching, key=lambda name: len(catalogue()[name][1]), default=None)


def create_backbone(name: str, checkpoint_path: str | Path | None = None, pretrained: bool | str = False,
                    **options: Any) -> Backbone:
    """Creates a network by name.

    Args:
        name: One of ``list_backbones()``.
        checkpoint_path: Weights to load, a file or URL. It must contain all weights of the backbone.
        pretrained: The data set of published weights to load, such as 'cifar10', or True where there is only one, see
            ``mmext.list_pretrained()``.
        options: Arguments of ``Backbone``, such as ``out_indices=(1, 2, 3)``. timm's ``in_chans`` and ``output_stride``
            work too; ``features_only=True`` is accepted and has no effect.

    Raises:
        UserError: The name is unknown, an option or the checkpoint can't be used, or there are no such weights.
    """
    name, checkpoint_path = with_weights(name, checkpoint_path, pretrained)
    cls, arguments = find_backbone(name)
    backbone = cls(**{**arguments, **translate_timm_options(options, cls, arguments, classifier=False)})
    if checkpoint_path:
        load_pretrained(backbone, checkpoint_path)
    return backbone


def with_weights(name: str, checkpoint_path: str | Path | None,
                 pretrained: bool | str) -> tuple[str, str | Path | None]:
    """The name of the network without that of a data set, and the checkpoint that the two arguments ask for.

    Raises UserError if both ask for one, or there are no such weights.
    """
    if not isinstance(name, str):
        return name, checkpoint_path
    if pretrained and checkpoint_path:
        raise UserError(f'checkpoint_path={str(checkpoint_path)!r} and pretrained={pretrained!r} each name weights; '
                        'give one of them')
    network, weights = choose_weights(name, pretrained)
    return network, f'{SCHEME}{weights}' if weights else checkpoint_path
