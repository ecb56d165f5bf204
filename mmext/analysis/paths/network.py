"""A network by its name, and the shape of what it takes, for the shares of its gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmext.analysis.subjects import name_for_images, usual_size
from mmext.backbones import create_backbone
from mmext.backbones.backbone import Backbone
from mmext.backbones.names import find_backbone
from mmext.backbones.recursive import RecursiveResNet
from mmext.errors import UserError

FRAMES = 8  # of a clip, half as many as in the papers: the shares are those of random inputs
LARGEST = 2048  # frames, pixels on a side, or channels


def network_of(name: str, formula: str | None = None, dims: int | None = None, shape: Sequence[int] | None = None,
               checkpoint: str | None = None) -> tuple[Backbone, tuple[int, ...]]:
    """Builds a network.

    Args:
        name: As ``mmext.list_backbones()`` has it; with 3d before the depth for clips, on the stem for 224 pixels.
        formula: The recursion formula of a network that has one.
        dims: 2 or 3; by default as the name or the shape says.
        shape: Of one input, (C, [T,] H, W).
        checkpoint: Its weights.

    Returns:
        The network, and the shape of one input.

    Raises:
        UserError: There is no such network, it has no formula, or the shape doesn't suit it.
    """
    flat = name_for_images(name)
    clips = flat != name
    options: dict[str, Any] = dict(stem='conv7x7') if clips else {}
    cls, _ = find_backbone(flat)
    if formula is not None:
        if not issubclass(cls, RecursiveResNet):
            raise UserError(f'--formula: {name} has no recursion formula; resnet18_recursive has one')
        options['formula'] = formula
    dims = dims or (3 if clips or len(shape or ()) == 4 else 2)
    if clips and dims == 2:
        raise UserError(f'--dims 2: {name} takes clips; {flat} takes images')
    if shape is None:
        side = usual_size(flat, options.get('stem'))[0]
        shape = (3, side, side) if dims == 2 else (3, FRAMES, *[side // 2 if side == 224 else side] * 2)
    if len(shape) != dims + 1 or not all(1 <= size <= LARGEST for size in shape):
        kind = 'C H W' if dims == 2 else 'C T H W'
        raise UserError(f'--input {" ".join(map(str, shape))}: need {kind}, each from 1 to {LARGEST}')
    return create_backbone(flat, checkpoint, dims=dims, in_channels=shape[0], **options), tuple(shape)
