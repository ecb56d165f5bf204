"""Export of a backbone: its outputs are the feature maps of its stages, under their names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from torch import nn

from mmext.backbones import create_backbone
from mmext.backbones.backbone import Backbone
from mmext.backbones.names import find_backbone
from mmext.backbones.plan import STEMS
from mmext.components import arguments
from mmext.errors import UserError, nearest
from mmext.export.graph import Graph


def backbone_graph(name: str, checkpoint: str | Path | None = None, *, size: Sequence[int] | None = None,
                   frames: int | None = None, dynamic: bool = False, **options) -> Graph:
    """A backbone by its name, ready for ``write_onnx``.

    The input of the file is ``input``, normalised images (N, C, H, W) or clips (N, C, T, H, W). Its outputs are
    ``layer1`` and so on, as ``feature_info`` names them.

    Args:
        name: one of ``list_backbones()``.
        checkpoint: the weights; None for random ones.
        size: (H, W); 224 x 224 by default, 32 x 32 for a stem of stride 1.
        frames: T of a network for clips; None for images.
        dynamic: leave the number of frames, height and width variable.
        options: of ``create_backbone``.

    Raises:
        UserError: an unknown name, an unusable option or checkpoint, or an image that is too small.
    """
    if frames is not None and frames < 1:
        raise UserError(f'--frames {frames}: need 1 or more')
    known = arguments(find_backbone(name)[0]) - {'dims', 'bare', 'init_cfg'}
    for key in options:
        if key not in known:
            raise UserError(f'{name} has no argument {key!r}{nearest(key, known)}')
    backbone = create_backbone(name, checkpoint, dims=2 if frames is None else 3, **options).eval()
    return graph_of(backbone, name, size, frames, dynamic)


def graph_of(backbone: Backbone, name: str, size: Sequence[int] | None = None, frames: int | None = None,
             dynamic: bool = False) -> Graph:
    """The graph of a backbone in eval mode; see ``backbone_graph``."""
    shape = shape_of(backbone, size, frames)
    features = backbone.feature_info
    stages = [feature.module for feature in features]
    metadata = dict(backbone=name, stages=stages, channels=features.channels(), strides=features.reduction())
    return Graph(backbone, 'input', stages, shape, metadata, free=range(1, len(shape)) if dynamic else ())


def shape_of(backbone: Backbone, size: Sequence[int] | None = None, frames: int | None = None) -> tuple[int, ...]:
    """The shape of a sample, (C, H, W) or (C, T, H, W). Raises a UserError if the size, (H, W), is too small."""
    side = 224 if STEMS[backbone.stem].stride > 1 else 32
    first = cast(nn.Conv2d | nn.Conv3d, backbone.conv1)
    shape = (first.in_channels, *(() if frames is None else (frames, )), *(size or (side, side)))
    backbone.check_size(first.weight.new_empty((1, *shape), device='meta'))
    return shape
