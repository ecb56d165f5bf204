"""Models to be measured: built on the meta device from a name or a config."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from mmengine.registry import MODELS, init_default_scope
from torch import nn

from mmext.backbones import create_backbone
from mmext.classification import Classifier
from mmext.engine.config import load_config
from mmext.errors import UserError


@dataclass(frozen=True)
class Subject:
    """A model on the meta device, the shape of one input, and what to call with it."""

    name: str
    model: nn.Module
    shape: tuple[int, ...]
    forward: Callable


def classifier(name: str, num_classes: int = 1000, shape: Sequence[int] | None = None,
               stem: str | None = None) -> Subject:
    """A classifier on a network; inputs of four numbers (C, T, H, W) make it 3D.

    Raises:
        UserError: there is no such network or stem, or the input has not three or four dimensions.
    """
    small = name.endswith('_cifar') or stem not in (None, 'conv7x7')
    shape = tuple(shape or ((3, 32, 32) if small else (3, 224, 224)))
    if len(shape) not in (3, 4):
        raise UserError(f'--input {" ".join(map(str, shape))}: need C H W, or C T H W for 3D')
    with torch.device('meta'):
        backbone = create_backbone(name, stem=stem, in_channels=shape[0], dims=len(shape) - 1)
        model = Classifier(backbone, num_classes)
    return Subject(f'{name}, {num_classes} classes, stem {backbone.stem}', model, shape, model)


def from_config(path: str | Path, backbone: str | None = None, options: dict | None = None,
                shape: Sequence[int] | None = None) -> Subject:
    """The model of a config; its input is that of the validation in training, unless one is given.

    Raises:
        UserError: the config is unusable, or does not say what its input is.
    """
    config = load_config(path, backbone=backbone, options=options)
    init_default_scope(config.get('default_scope', 'mmengine'))
    shape = tuple(shape or input_shape(config, path))
    config.model.backbone['init_cfg'] = None
    with torch.device('meta'):
        model = MODELS.build(config.model)
    return Subject(str(path), model, shape, forward_of(model))


def forward_of(model: nn.Module) -> Callable:
    """What a batch is put into: a recognizer takes (N, clips, C, T, H, W), and goes on to its head."""
    if hasattr(model, 'cls_head'):
        return lambda clips: model(clips[:, None], mode='tensor', stage='head')
    return getattr(model, '_forward', model)


def input_shape(config: dict, path: str | Path) -> tuple[int, ...]:
    """(C, [T,] height, width), from the frames and the last size that the pipeline names; a crop is the last word."""
    size, frames = None, ()
    for step in config.get('val_pipeline') or config.get('test_pipeline', []):
        kind = step['type'].rpartition('.')[2]
        if kind == 'Resize' and min(step['scale']) > 0:
            size = step['scale'][::-1]
        elif 'crop_size' in step:
            size = (step['crop_size'], step['crop_size'])
        elif 'clip_len' in step:
            frames = (step['clip_len'], )
    if size is None:
        raise UserError(f'{path}: no test_pipeline with a Resize; give --input C H W')
    return (3, *frames, *size)
