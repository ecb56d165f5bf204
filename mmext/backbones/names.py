"""Networks by name, as timm has them: ``create_backbone('iresnet50')``."""

from __future__ import annotations

from fnmatch import fnmatch
from functools import cache
from pathlib import Path

from mmext.backbones.backbone import Backbone
from mmext.backbones.weights import load_pretrained
from mmext.errors import UserError, nearest


@cache
def catalogue() -> dict[str, tuple[type[Backbone], int]]:
    """Name -> (class, depth) of every network of every family, in the order of their definition."""
    names = {}
    pending = [Backbone]
    while pending:
        cls = pending.pop(0)
        pending += cls.__subclasses__()
        if 'family' in vars(cls):
            for depth, arch in cls.archs.items():
                suffix = '_cifar' if len(arch.blocks) == 3 else cls.suffix
                names[f'{cls.family}{depth}{suffix}'] = (cls, depth)
    return names


def find_backbone(name: str) -> tuple[type[Backbone], int]:
    """The class and the depth that a name stands for.

    Raises:
        UserError: there is no such name; the nearest ones are suggested.
    """
    if name not in catalogue():
        raise UserError(f'no backbone {name!r}{nearest(name, catalogue())} (mmext.list_backbones() has all names)')
    return catalogue()[name]


def list_backbones(pattern: str = '*') -> list[str]:
    """The names that match a shell pattern such as 'ires*', sorted."""
    return sorted(name for name in catalogue() if fnmatch(name, pattern))


def create_backbone(name: str, checkpoint_path: str | Path | None = None, **options) -> Backbone:
    """Builds a network by its name.

    Args:
        name: one of ``list_backbones()``.
        checkpoint_path: weights to load; refused unless it holds all of the backbone's.
        options: arguments of ``Backbone``, such as ``out_indices=(1, 2, 3)``.

    Raises:
        UserError: an unknown name, an unusable option or checkpoint.
    """
    cls, depth = find_backbone(name)
    backbone = cls(depth, **options)
    if checkpoint_path:
        load_pretrained(backbone, checkpoint_path)
    return backbone
