"""Models to be measured: of a network by its name, or of a config."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import product
from pathlib import Path
from typing import cast

from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import MODELS, DefaultScope

from mmext.analysis import complexity
from mmext.backbones import create_backbone
from mmext.backbones.meta import on_meta
from mmext.backbones.names import catalogue
from mmext.backbones.plan import STEMS
from mmext.backbones.weights import require_match
from mmext.checkpoints import read_checkpoint, weights_of
from mmext.classification import Classifier
from mmext.classification.task import TASK as CLASSIFICATION
from mmext.engine.config import load_config
from mmext.errors import UserError
from mmext.task import Task, task_of

FRAMES = 16  # of a clip, in the iResNet paper


@dataclass(frozen=True)
class Spec:
    """What names the subject of a benchmark: arguments of ``load_config`` and ``sample_shape``, from a command."""

    path: str
    backbone: str | None = None
    data_root: str | None = None
    classes: str | None = None
    options: dict | None = None
    size: Sequence[int] | None = None
    frames: int | None = None


@dataclass
class Subject:
    """A model to be measured.

    Args:
        name: in tables and messages.
        task: of the model.
        shape: of one input, without the batch.
        build: builds the model, with random weights.
        config: of the model; None where a network's name is all that there is.
        spec: the arguments that it comes from, if it comes from a command.
    """

    name: str
    task: Task
    shape: tuple[int, ...]
    build: Callable[[], BaseModel]
    config: Config | None = None
    spec: Spec | None = None

    @cached_property
    def model(self) -> BaseModel:
        """The model on the meta device, without memory for its weights; built once."""
        with on_meta():
            return self.build()

    @cached_property
    def forward(self) -> Callable:
        """A call with a batch of inputs that goes once through all layers of ``model``."""
        return self.task.counted_forward(self.model)

    @property
    def scope(self) -> str:
        """The config's registry scope: 'mmdet', 'mmaction' or 'mmengine'."""
        return (self.config or {}).get('default_scope') or 'mmengine'

    @property
    def num_classes(self) -> int:
        """The labels of made-up targets are below it."""
        model = self.config.model if self.config else dict(num_classes=self.model.num_classes)
        return min(numbers(model, 'num_classes'), default=1)

    @property
    def is_fed_alike(self) -> bool:
        """Whether the training pipeline makes samples of this shape too, or fixes no size."""
        assert self.config is not None, 'a network by its name has no training pipeline'
        try:
            return self.task.sample_shape(self.config) == self.shape
        except UserError:
            return True

    def new_model(self) -> BaseModel:
        """A new model on the processor, of random weights or of those of the config's ``load_from``."""
        model = self.build()
        model.init_weights()
        path = (self.config or {}).get('load_from')
        if path:
            weights = weights_of(read_checkpoint(path))
            require_match(model, weights, path)
            model.load_state_dict(weights, strict=False)
        return model

    def batch(self, size: int) -> dict:
        """A made-up batch, as a loader gives it."""
        return self.task.made_up_batch(self.shape, size, self.num_classes)

    def complexity(self, convention: str = 'macs') -> complexity.Complexity:
        """Parameters and operations of one sample, in a paper's convention or plain multiply-accumulates."""
        return complexity.count(self.model, self.shape, convention, self.forward)


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
    def build() -> Classifier:
        chosen = dict(stem=stem) if stem else {}
        backbone = create_backbone(flat, **chosen, in_channels=shape[0], dims=len(shape) - 1)
        return Classifier(backbone, num_classes or (400 if clips else 1000))

    subject = Subject(name, CLASSIFICATION, shape, build)
    model = cast(Classifier, subject.model)
    subject.name = f'{name}, {model.fc.out_features} classes, stem {model.backbone.stem}'
    return subject


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
        config: as ``load_config`` gives it.
        name: of the subject, and for messages.
        shape: of one input, in place of what the training pipeline makes.
        otherwise: the shape where the training pipeline fixes none.

    Raises:
        UserError: the config does not say what its input is, and there is no ``otherwise``.
    """
    subject = Subject(name, task_of(config), (), partial(build_of, config), config)
    if not shape:
        try:
            shape = subject.task.sample_shape(config)
        except UserError as error:
            if otherwise is None:
                raise UserError(f'{name}: {str(error).partition(";")[0]}; give --input C H W') from None
            shape = otherwise
    if subject.task.model_kind == 'recognizer' and len(shape) == 4 and getattr(subject.model.backbone, 'dims', 2) == 3:
        shape = (1, *shape)  # one clip
    subject.shape = tuple(shape)
    return subject


def from_spec(spec: Spec, name: str = '') -> Subject:
    """The subject of a benchmark.

    Args:
        spec: its config, and what is changed in it.
        name: by default the config's.

    Raises:
        UserError: the config can't be used, is of no known task, or does not say what its model takes.
    """
    config = load_config(spec.path, data_root=spec.data_root, classes=spec.classes, backbone=spec.backbone,
                         options=spec.options)
    if not config.get('model'):
        raise UserError(f'{spec.path}: this config has no model')
    subject = Subject(name or Path(spec.path).stem, task_of(config), (), partial(build_of, config), config, spec)
    if not subject.task.is_model(subject.model):
        raise UserError(f'{spec.path}: model.type={config.model.type!r} is no detector, recognizer or classifier')
    try:
        subject.shape = subject.task.sample_shape(config, spec.size, spec.frames)
    except UserError as error:
        raise UserError(f'{spec.path}: {error}') from None
    return subject


def build_of(config: Config) -> BaseModel:
    """Builds a config's model, without the pretrained weights that it may name for its backbone."""
    model = copy.deepcopy(config.model)
    if model.get('backbone'):
        model.backbone['init_cfg'] = None
    with DefaultScope.overwrite_default_scope(config.get('default_scope') or 'mmengine'):
        return MODELS.build(model)


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
    pairs: Counter[tuple[str, str | None]] = Counter()
    for path, backbone in product(configs, backbones or [None]):
        stem = Path(path).stem if [Path(other).stem for other in set(configs)].count(Path(path).stem) == 1 else path
        name = stem if not backbone else backbone if len(configs) == 1 else f'{stem}_{backbone}'
        before = pairs[path, backbone]
        pairs[path, backbone] += 1
        found.append(from_spec(Spec(path, backbone, **common), f'{name} ({before + 1})' if before else name))
    return found
