"""What ``--engine`` computes of a model: layers with one input, in whose place another library can be put.

| model | parts | what stays in torch |
|---|---|---|
| SSD, RetinaNet | backbone, neck and the convolutions of the head | decoding, non-maximum suppression |
| Faster R-CNN | backbone, neck and the RPN's convolutions; the head of boxes | proposals, RoIAlign, suppression |
| classifier, I3D recognizer | everything | the mean over views |
| any other | backbone | everything else |
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from torch import Tensor, nn

from mmext.backbones.backbone import Backbone
from mmext.errors import UserError
from mmext.export.backbone import shape_of

FRAMES = 8  # of the clip with which a network is traced; its file takes any number


@dataclass(frozen=True)
class Part:
    """A part of a model.

    Attributes:
        name: stands in the name of its file.
        module: the layers, in eval mode; takes one tensor and returns a tuple of tensors.
        put: puts another module, which takes and returns the same, in their place.
        shape: the shape of a sample of the input.
        outputs: the names of the outputs.
        free: the dimensions of a sample, counted from 0, that can have other sizes.
    """

    name: str
    module: nn.Module
    put: Callable[[nn.Module], None]
    shape: tuple[int, ...]
    outputs: Sequence[str]
    free: Sequence[int] = field(default=())


class Chain(nn.Module):
    """Modules one after the other, whose result is a flat tuple.

    Args:
        modules: the first one takes the input, each other one what the one before it returns.
        keep: whether what the last one takes, a tuple, stands in the result before what it returns.
    """

    def __init__(self, *modules: nn.Module, keep: bool = False) -> None:
        super().__init__()
        self.steps = nn.ModuleList(modules)
        self.keep = keep

    def forward(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """The outputs."""
        taken: Any = ()
        found: Any = inputs
        for step in self.steps:
            taken, found = found, step(found)
        return (*taken, *flat(found)) if self.keep else flat(found)


def flat(found: Any) -> tuple[Tensor, ...]:
    """A tensor, or tensors in sequences of sequences, as one tuple."""
    if isinstance(found, Tensor):
        return (found, )
    return tuple([tensor for part in found for tensor in flat(part)])


class Single(nn.Module):
    """The only tensor of what a module returns."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, inputs: Tensor) -> Tensor:
        """The tensor."""
        return self.module(inputs)[-1]


def parts_of(model: nn.Module) -> list[Part]:
    """The parts of a model that an engine can compute. Raises a UserError if its backbone is not one of mmext."""
    backbone = getattr(model, 'backbone', None)
    if not isinstance(backbone, Backbone):
        raise UserError(f'--engine and --dtype: its backbone is {type(backbone).__name__}, not one of mmext')
    shape = shape_of(backbone, frames=FRAMES if backbone.dims == 3 else None)
    for found in (scores, detector):
        parts = found(model, backbone, shape)
        if parts:
            return parts

    def put(module: nn.Module) -> None:
        model.backbone = Single(module) if backbone.bare else module

    names = [feature.module for feature in backbone.feature_info]
    return [Part('backbone', Chain(backbone), put, shape, names, range(1, len(shape)))]


def scores(model: nn.Module, backbone: Backbone, shape: tuple[int, ...]) -> list[Part]:
    """The whole network of a classifier or of an I3D recognizer; nothing for other models."""
    from mmext.classification.classifier import Classifier

    free = range(1, len(shape))
    if isinstance(model, Classifier):
        def put_in_classifier(module: nn.Module) -> None:
            for name, replacement in (('backbone', module), ('pool', nn.Identity()), ('fc', nn.Identity())):
                setattr(model, name, replacement)

        layers = Chain(Single(backbone), model.pool, nn.Flatten(), model.fc)
        return [Part('network', layers, put_in_classifier, shape, ['logits'], free)]
    head: Any = getattr(model, 'cls_head', None)
    if type(head).__name__ != 'I3DHead' or not backbone.bare or getattr(model, 'with_neck', False):
        return []

    def put_in_recognizer(module: nn.Module) -> None:
        cast(Any, model).backbone = Single(module)
        cast(Any, model).cls_head = with_forward(head, lambda logits, **_: logits)

    return [Part('network', Chain(backbone, head), put_in_recognizer, shape, ['logits'], free)]


def detector(model: Any, backbone: Backbone, shape: tuple[int, ...]) -> list[Part]:
    """The layers of a detector with anchors that compute maps, and the head of boxes; nothing for other models."""
    two_stages = hasattr(model, 'rpn_head') and hasattr(model, 'roi_head')
    name = 'rpn_head' if two_stages else 'bbox_head'
    head: Any = getattr(model, name, None)
    if backbone.bare or not has_pairs(head):
        return []
    levels = len(head.prior_generator.strides)
    neck = [model.neck] if getattr(model, 'neck', None) is not None else []
    maps = levels if neck else len(backbone.out_indices)
    features = maps if two_stages else 0

    def put(module: nn.Module) -> None:
        model.backbone = module
        if neck:
            model.neck = nn.Identity()
        setattr(model, name, with_forward(head, lambda found: halves(found[features:])))

    size = getattr(head.prior_generator, 'input_size', None)
    outputs = [f'{kind}{level}' for kind, count in (('features', features), ('scores', levels), ('deltas', levels))
               for level in range(count)]
    parts = [Part('network', Chain(backbone, *neck, head, keep=two_stages), put, (shape[0], size, size) if size else
                  shape, outputs, range(1, len(shape)))]
    return parts + (head_of_boxes(model.roi_head) if two_stages else [])


def has_pairs(head: object) -> bool:
    """Whether a head has a map of scores and one of boxes for each level: those of SSD and RetinaNet, and the RPN."""
    from mmdet.models.dense_heads import AnchorHead, RetinaHead, RPNHead, SSDHead

    return isinstance(head, (SSDHead, RetinaHead, RPNHead)) and type(head).forward in (AnchorHead.forward,
                                                                                       SSDHead.forward)


def head_of_boxes(roi_head: Any) -> list[Part]:
    """The layers that classify regions, of a Faster R-CNN."""
    from mmdet.models.roi_heads.bbox_heads import ConvFCBBoxHead

    head = getattr(roi_head, 'bbox_head', None)
    if not isinstance(head, ConvFCBBoxHead) or not (head.with_cls and head.with_reg) or roi_head.with_shared_head:
        return []

    def put(module: nn.Module) -> None:
        roi_head.bbox_head = with_forward(head, module)

    return [Part('box_head', Chain(head), put, (head.in_channels, *head.roi_feat_size), ['scores', 'deltas'])]


def halves(found: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """The maps of scores and those of boxes."""
    count = len(found) // 2
    return list(found[:count]), list(found[count:])


def with_forward(module: nn.Module, forward: Callable) -> nn.Module:
    """A module with the same settings and methods, but another computation."""
    other = copy.copy(module)
    vars(other)['forward'] = forward  # as an attribute, a module would be one of its layers
    return other
