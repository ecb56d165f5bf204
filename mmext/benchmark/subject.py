"""A model to be measured: a config, perhaps with another backbone in it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path

from mmengine.registry import MODELS, DefaultScope
from torch import nn

from mmext.analysis import complexity
from mmext.backbones.meta import on_meta
from mmext.backbones.weights import require_match
from mmext.checkpoints import read_checkpoint, weights_of
from mmext.engine.config import load_config
from mmext.errors import UserError
from mmext.task import task_of


@dataclass(frozen=True)
class Spec:
    """What names a subject: the command's arguments, as ``load_config`` and ``sample_shape`` take them."""

    path: str
    backbone: str | None = None
    data_root: str | None = None
    classes: str | None = None
    options: dict | None = None
    size: Sequence[int] | None = None
    frames: int | None = None


class Subject:
    """A config's model, and what it takes.

    Attributes:
        name: in tables.
        config: the whole config.
        task: of the config.
        shape: of one sample, without the batch.
        fed_alike: whether the training pipeline makes samples of this shape too, as far as it says.
        num_classes: labels are below it.

    Raises:
        UserError: the config can't be used, is of another kind, or does not say what its model takes.
    """

    def __init__(self, spec: Spec, name: str = '') -> None:
        self.spec = spec
        self.name = name or Path(spec.path).stem
        self.config = load_config(spec.path, data_root=spec.data_root, classes=spec.classes, backbone=spec.backbone,
                                  options=spec.options)
        if not self.config.get('model'):
            raise UserError(f'{spec.path}: this config has no model')
        self.task = task_of(self.config)
        if not self.task.is_model(self.on_meta):
            raise UserError(f'{spec.path}: model.type={self.config.model.type!r} is no detector, recognizer or '
                            'classifier')
        try:
            self.shape = self.task.sample_shape(self.config, spec.size, spec.frames)
        except UserError as error:
            raise UserError(f'{spec.path}: {error}') from None
        self.fed_alike = self.fed_with(self.shape)
        self.num_classes = min(numbers(self.config.model, 'num_classes'), default=1)

    def fed_with(self, shape: tuple[int, ...]) -> bool:
        """Whether the training pipeline makes samples of this shape, or fixes no size."""
        try:
            return self.task.sample_shape(self.config) == shape
        except UserError:  # it fixes no size
            return True

    @cached_property
    def on_meta(self) -> nn.Module:
        """The model on the meta device, without memory for its weights; built once."""
        with on_meta():
            return self.new_model()

    @cached_property
    def scope(self) -> str:
        """The config's registry scope: 'mmdet', 'mmaction' or 'mmengine'."""
        return self.config.get('default_scope') or 'mmengine'

    def new_model(self) -> nn.Module:
        """Builds the model, without the pretrained weights that the config may name for its backbone."""
        model = copy.deepcopy(self.config.model)
        if model.get('backbone'):
            model.backbone['init_cfg'] = None  # weights that need not be there
        with DefaultScope.overwrite_default_scope(self.scope):
            return MODELS.build(model)

    def model(self) -> nn.Module:
        """A new model on the processor, of random weights or of those of the config's ``load_from``."""
        model = self.new_model()
        model.init_weights()
        path = self.config.get('load_from')
        if path:
            weights = weights_of(read_checkpoint(path))
            require_match(model, weights, path)
            model.load_state_dict(weights, strict=False)
        return model

    def batch(self, size: int) -> dict:
        """A made-up batch, as a loader gives it."""
        return self.task.made_up_batch(self.shape, size, self.num_classes)

    def complexity(self) -> complexity.Complexity:
        """Of one sample, in plain multiply-accumulates."""
        return complexity.count(self.on_meta, self.shape, forward=self.task.counted_forward(self.on_meta))


def numbers(node: object, key: str) -> list[int]:
    """Every number that stands under a key anywhere in a config."""
    values = node.values() if isinstance(node, dict) else node if isinstance(node, (list, tuple)) else ()
    own = [node[key]] if isinstance(node, dict) and isinstance(node.get(key), int) else []
    return own + [number for value in values for number in numbers(value, key)]


def subjects_of(configs: Sequence[str], backbones: Sequence[str] | None, **common) -> list[Subject]:
    """Every config with every backbone, named by what tells them apart.

    Args:
        configs: paths.
        backbones: names of ``mmext.list_backbones()``; None leaves the configs' own.
        common: further fields of ``Spec``.
    """
    found: list[Subject] = []
    for path, backbone in product(configs, backbones or [None]):
        stem = Path(path).stem if [Path(other).stem for other in set(configs)].count(Path(path).stem) == 1 else path
        name = stem if not backbone else backbone if len(configs) == 1 else f'{stem}_{backbone}'
        before = sum(other.spec.path == path and other.spec.backbone == backbone for other in found)
        found.append(Subject(Spec(path, backbone, **common), f'{name} ({before + 1})' if before else name))
    return found
