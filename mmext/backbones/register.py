"""Registration of a family in OpenMMLab's registries: as mmext.IResNet for images and as mmext.IResNet3d for clips."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from mmext.backbones.backbone import Backbone
from mmext.backbones.names import families
from mmext.errors import UserError
from mmext.registry import MODELS


class Inflated(Backbone):
    """Mixin of ``<Family>3d``: takes clips, and returns the feature map of the last stage instead of a tuple.

    Args:
        args, kwargs: Arguments of the family.
        dims: Must be 3.
        out_indices: The stages to return; by default the last one. For several stages the result is a tuple.

    Raises:
        UserError: ``dims`` is not 3.
    """

    def __init__(self, *args, dims: int = 3, out_indices: Sequence[int] | None = None, **kwargs) -> None:
        if type(dims) is not int or dims != 3:
            raise UserError(f'dims={dims!r}: {type(self).__name__} takes clips; for images write '
                            f"type='mmext.{type(self).__name__.removesuffix('3d')}'")
        super().__init__(*args, dims=3, out_indices=out_indices, **kwargs)
        if out_indices is None:
            self.out_indices = self.out_indices[-1:]
        self.bare = len(self.out_indices) == 1


def register_backbone(family: type[Backbone]) -> type[Backbone]:
    """Class decorator that registers a family as ``mmext.<Family>`` for images and as ``mmext.<Family>3d`` for clips.

    ``<Family>3d`` is also made an attribute of the family's module, so that its networks can be pickled. Registering a
    class again under its own name, as by running a notebook cell twice, replaces the earlier one.

    Raises:
        UserError: A class from another place, or a network of another family, already has the name.
    """
    inflated = type(f'{family.__name__}3d', (Inflated, family), {
        '__doc__': f'``{family.__name__}`` for clips, see ``Inflated``.', '__module__': family.__module__,
        '__qualname__': f'{family.__qualname__}3d'})
    require_unused_names(family)
    require_unused_names(inflated)
    for cls in (family, inflated):
        MODELS.register_module(name=cls.__name__, module=cls, force=True)
    if inflated.__qualname__ == inflated.__name__ and family.__module__ in sys.modules:
        setattr(sys.modules[family.__module__], inflated.__name__, inflated)
    return family


def require_unused_names(cls: type[Backbone]) -> None:
    """Raises UserError if the name of a class, or of one of its networks, is already used by another class."""
    place = (cls.__module__, cls.__qualname__)
    known = MODELS.module_dict.get(cls.__name__)
    if known and (known.__module__, known.__qualname__) != place:
        raise UserError(f'register_backbone: {known.__module__}.{known.__qualname__} is mmext.{cls.__name__} already; '
                        f'give the class in {cls.__module__} another name')
    if 'family' not in vars(cls):
        return
    for other in families():
        both = sorted(set(cls.names()) & set(other.names()))
        if both and (other.__module__, other.__qualname__) != place:
            raise UserError(f'register_backbone: {other.__module__}.{other.__qualname__} has a network {both[0]!r} '
                            f'already; give {cls.__qualname__} another family, or its own names()')
