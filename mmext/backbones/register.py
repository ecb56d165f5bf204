"""A family's two names in OpenMMLab's registries: mmext.IResNet for images, mmext.IResNet3d for clips."""

from __future__ import annotations

from collections.abc import Sequence

from mmext.backbones.backbone import Backbone
from mmext.errors import UserError
from mmext.registry import MODELS


class Inflated:
    """What ``<Family>3d`` adds to a family: clips, and the last stage's feature map itself, not a tuple of one.

    Args:
        args, kwargs: as for the family.
        dims: 3.
        out_indices: the last stage by default; of several stages the maps come in a tuple.

    Raises:
        UserError: ``dims`` is not 3.
    """

    def __init__(self, *args, dims: int = 3, out_indices: Sequence[int] | None = None, **kwargs) -> None:
        if dims != 3:
            raise UserError(f'dims={dims!r}: {type(self).__name__} takes clips; for images write '
                            f"type='mmext.{type(self).__name__.removesuffix('3d')}'")
        super().__init__(*args, dims=3, out_indices=out_indices, **kwargs)
        if out_indices is None:
            self.out_indices = self.out_indices[-1:]
        self.bare = len(self.out_indices) == 1


def register_backbone(family: type[Backbone]) -> type[Backbone]:
    """Makes a family known to configs, as ``mmext.<Family>`` for images and as ``mmext.<Family>3d`` for clips."""
    MODELS.register_module()(family)
    name = f'{family.__name__}3d'
    inflated = type(name, (Inflated, family), {'__doc__': f'``{family.__name__}`` of clips, see ``Inflated``.',
                                               '__module__': family.__module__})
    MODELS.register_module(name=name)(inflated)
    return family
