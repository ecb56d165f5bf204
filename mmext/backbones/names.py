"""Networks by name, as timm has them: ``create_backbone('iresnet50')``."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path

from mmext.backbones.backbone import Backbone
from mmext.backbones.timm_words import in_our_words
from mmext.backbones.weights import load_pretrained
from mmext.errors import UserError, nearest

PAPERS = {
    'iresnet': 'Improved Residual Networks for Image and Video Recognition (Duta et al., arXiv 2004.04989)',
    'cresnet': 'C-ResNet (Liang et al.)',
    'recursive': 'Recursion formulas (Liao et al.)',
    'rir': 'ResNet in ResNet (Targ et al., arXiv 1603.08029)',
}


def families() -> list[type[Backbone]]:
    """Every family that is defined by now, in the order of their definition.

    Of a class that was defined again under its own name, as a notebook's cell does, the newest alone.
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
    """Name -> (class, its arguments) of every network of every family, in the order of their definition."""
    return {name: (cls, arguments) for cls in families() for name, arguments in cls.names().items()}


def find_backbone(name: str) -> tuple[type[Backbone], dict]:
    """The class that a name stands for, and the arguments that make it.

    Raises:
        UserError: there is no such name; the nearest ones are suggested.
    """
    known = catalogue()
    if not isinstance(name, str):
        raise UserError(f'no backbone {name!r}: need the name of one (mmext.list_backbones() has all names)')
    if name not in known:
        raise UserError(f'no backbone {name!r}{nearest(name, known)} (mmext.list_backbones() has all names)')
    return known[name]


def list_backbones(pattern: str = '*', by_paper: bool = False) -> list[str] | dict[str, list[str]]:
    """The names that match a shell pattern such as 'ires*', sorted; or {paper: its names}, as ``PAPERS``."""
    known = catalogue()
    matching = [name for name in known if fnmatch(name, pattern)]
    if not by_paper:
        return sorted(matching)
    papers: dict[str, list[str]] = {paper: [] for paper in PAPERS}
    for name in matching:
        papers.setdefault(known[name][0].paper, []).append(name)
    return {paper: names for paper, names in papers.items() if names}


def is_named(backbone: Mapping, name: str) -> bool:
    """Whether a config's ``backbone`` is the network of a name, whatever other arguments it gives.

    An argument that it does not give has the value that is the default of the class.
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


def create_backbone(name: str, checkpoint_path: str | Path | None = None, **options) -> Backbone:
    """Builds a network by its name.

    Args:
        name: one of ``list_backbones()``.
        checkpoint_path: weights to load; refused unless it holds all of the backbone's.
        options: arguments of ``Backbone``, such as ``out_indices=(1, 2, 3)``; or timm's words for them: ``in_chans``,
            ``output_stride``, and ``features_only=True`` and ``pretrained=False``, which change nothing.

    Raises:
        UserError: an unknown name, an unusable option or checkpoint.
    """
    cls, arguments = find_backbone(name)
    backbone = cls(**{**arguments, **in_our_words(options, cls, arguments, classifier=False)})
    if checkpoint_path:
        load_pretrained(backbone, checkpoint_path)
    return backbone
