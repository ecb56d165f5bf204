"""Models to be measured: built on the meta device from a name or a config."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from torch import nn

from mmext.backbones import create_backbone
from mmext.backbones.meta import on_meta
from mmext.backbones.names import catalogue
from mmext.backbones.plan import STEMS
from mmext.classification import Classifier
from mmext.engine.config import load_config
from mmext.errors import UserError
from mmext.task import task_of

FRAMES = 16  # of a clip, in the iResNet paper


@dataclass(frozen=True)
class Subject:
    """A model on the meta device, the shape of one input, and what to call with it."""

    name: str
    model: nn.Module
    shape: tuple[int, ...]
    forward: Callable


def classifier(name: str, num_classes: int | None = None, shape: Sequence[int] | None = None,
               stem: str | None = None) -> Subject:
    """A classifier on a network.

    Args:
        name: as ``mmext.list_backbones()`` has it; with 3d before the depth, as in the names of configs
            (``iresnet3d50``), the network for clips on the stem for 224 pixels, as the iResNet paper has it.
        num_classes: 1000 by default, ImageNet's; of a network for clips 400, those of Kinetics.
        shape: of one input. Four numbers (C, T, H, W) make any network 3D. By default (3, 224, 224), (3, 32, 32) or,
            for clips, (3, 16, 224, 224), as the stem needs it.
        stem: another than the network's own.

    Raises:
        UserError: there is no such network or stem, or the input has not the dimensions.
    """
    flat = name_for_images(name)
    clips = flat != name
    stem = stem or ('conv7x7' if clips else None)
    shape = tuple(shape or (3, *([FRAMES] if clips else []), *usual_size(flat, stem)))
    if len(shape) not in ((4, ) if clips else (3, 4)):
        raise UserError(f'--input {" ".join(map(str, shape))}: need {"" if clips else "C H W, or "}C T H W'
                        f'{f", {name} takes clips" if clips else " for 3D"}')
    with on_meta():
        backbone = create_backbone(flat, stem=stem, in_channels=shape[0], dims=len(shape) - 1)
        model = Classifier(backbone, num_classes or (400 if clips else 1000))
    return Subject(f'{name}, {model.fc.out_features} classes, stem {backbone.stem}', model, shape, model)


def name_for_images(name: str) -> str:
    """'iresnet50' for 'iresnet3d50', the network inflated for clips; any other name as it is."""
    flat = name.replace('3d', '', 1)
    known = catalogue()
    return flat if name not in known and flat in known else name


def usual_size(name: str, stem: str | None = None) -> tuple[int, int]:
    """(height, width) of the images that a network is for: 32 where its stem, or the one given, keeps the resolution.

    A network without stems to choose from (ALL-CNN-C) is for 32 pixels.
    """
    if stem is None:
        with on_meta():
            stem = create_backbone(name).stem
    return (224, 224) if stem in STEMS and STEMS[stem].pool else (32, 32)


def from_config(path: str | Path, backbone: str | None = None, options: dict | None = None,
                shape: Sequence[int] | None = None) -> Subject:
    """The model of a config; its input is what the training pipeline makes, unless one is given.

    Raises:
        UserError: the config is unusable, or does not say what its input is.
    """
    return of_config(load_config(path, backbone=backbone, options=options), str(path), shape)


def of_config(config: Config, name: str, shape: Sequence[int] | None = None,
              otherwise: Sequence[int] | None = None) -> Subject:
    """The model of a config that has been read.

    Args:
        config: as ``load_config`` gives it; its backbone loses its ``init_cfg``.
        name: of the subject, and for messages.
        shape: of one input, in place of what the training pipeline makes.
        otherwise: the shape where the training pipeline fixes none.

    Raises:
        UserError: the config does not say what its input is, and there is no ``otherwise``.
    """
    init_default_scope(config.get('default_scope', 'mmengine'))
    config.model.backbone['init_cfg'] = None
    with on_meta():
        model = MODELS.build(config.model)
    task = task_of(config)
    if not shape:
        try:
            shape = task.sample_shape(config)
        except UserError as error:
            if otherwise is None:
                raise UserError(f'{name}: {str(error).partition(";")[0]}; give --input C H W') from None
            shape = otherwise
    if task.model_kind == 'recognizer' and len(shape) == 4 and getattr(model.backbone, 'dims', 2) == 3:
        shape = (1, *shape)  # one clip
    return Subject(name, model, tuple(shape), task.counted_forward(model))
