"""Classifiers: a backbone, global average pooling and one linear layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseDataPreprocessor, BaseModel
from torch import Tensor, nn

from mmext.backbones import Backbone, create_backbone
from mmext.backbones.checks import is_whole
from mmext.backbones.layers import Layers, is_number
from mmext.backbones.names import find_backbone, with_weights
from mmext.backbones.timm_options import translate_timm_options
from mmext.backbones.trained import Trained
from mmext.backbones.weights import require_match
from mmext.checkpoints import read_checkpoint, weights_of
from mmext.checkpoints.stored import unpack
from mmext.errors import UserError
from mmext.registry import MODELS

MOST_CLASSES = 10_000_000


@MODELS.register_module()
class ImagePreprocessor(BaseDataPreprocessor):
    """Moves a batch to the model's device and normalises it there: (pixel - mean) / std.

    Args:
        mean: Mean of each channel (RGB), for pixel values from 0 to 255.
        std: Standard deviation of each channel, likewise; above 0.
        blending: The config of a class with ``do_blending(inputs, one_hot_labels)``, which mixes the images of a
            training batch and their labels: ``mmaction.MixupBlending``, ``mmaction.CutmixBlending`` or
            ``mmaction.RandomBatchAugment``.

    Raises:
        UserError: ``mean`` or ``std`` is not a list of such numbers, or their lengths differ.
    """

    def __init__(self, mean: Sequence[float] = (0., 0., 0.), std: Sequence[float] = (255., 255., 255.),
                 blending: dict | None = None) -> None:
        super().__init__()
        for name, values in (('mean', mean), ('std', std)):
            if not isinstance(values, (list, tuple)) or not values or not all(
                    is_number(value) and abs(value) < math.inf and (name == 'mean' or value > 0) for value in values):
                raise UserError(f'ImagePreprocessor: {name}={values!r} is not a list of numbers'
                                f'{" above 0" if name == "std" else ""}, one for each channel')
        if len(mean) != len(std):
            raise UserError(f'ImagePreprocessor: mean={mean!r} and std={std!r} are of different lengths')
        self.blending = MODELS.build(blending) if blending else None
        self.register_buffer('mean', torch.tensor(mean).reshape(-1, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor(std).reshape(-1, 1, 1), persistent=False)

    def forward(self, data: dict, training: bool = False) -> dict:
        """dict(inputs=(N, C, H, W) from 0 to 255, labels=(N,)) -> the same with normalised float32 inputs.

        ``names``, which only serve messages about a batch, are removed. With ``blending``, the images of a training
        batch are mixed, and their labels are the shares of the classes, float32 (N, num_classes).
        """
        moved = self.cast_data({key: value for key, value in data.items() if key != 'names'})
        assert isinstance(moved, dict)
        batch = dict(moved, inputs=(moved['inputs'].float() - self.mean) / self.std)
        if training and self.blending is not None:
            shares = F.one_hot(batch['labels'], self.blending.num_classes).float()
            batch['inputs'], batch['labels'] = self.blending.do_blending(batch['inputs'], shares)
        return batch


@MODELS.register_module()
class Classifier(BaseModel):
    """A classifier of images (N, C, H, W) or clips (N, C, T, H, W), with logits (N, num_classes).

    The names of its weights begin with ``backbone.`` and ``fc.``. A checkpoint can be loaded into the backbone of a
    detector without conversion.

    Args:
        backbone: A backbone or its config; its last output is classified.
        num_classes: Number of outputs of the linear layer ``fc``.
        data_preprocessor: Config of the module that normalises the batches of a data loader. A plain call of the model
            takes normalised inputs.
        init_cfg: Initialisation, as for every model of mmengine.
        label_smoothing: The share of each label that is spread over all classes in the training's loss.

    Raises:
        UserError: ``num_classes`` is not a positive integer or not that of ``blending``, ``label_smoothing`` is not
            from 0 to 1, or ``backbone`` is not one of mmext's.
    """

    def __init__(self, backbone: Backbone | dict, num_classes: int, data_preprocessor: dict | None = None,
                 init_cfg: dict | None = None, label_smoothing: float = 0.) -> None:
        super().__init__(data_preprocessor, init_cfg)
        if not is_whole(num_classes) or not 0 < num_classes <= MOST_CLASSES:
            raise UserError(f'num_classes={num_classes!r}: need a positive number')
        self.backbone = MODELS.build(backbone) if isinstance(backbone, dict) else backbone
        if not isinstance(self.backbone, Backbone):
            raise UserError(f"backbone={backbone!r}: need one of mmext's, or its config, such as "
                            "dict(type='mmext.IResNet', depth=50)")
        if not is_number(label_smoothing) or not 0 <= label_smoothing < 1:
            raise UserError(f'label_smoothing={label_smoothing!r}: need a number from 0 to 1')
        blending = getattr(self.data_preprocessor, 'blending', None)
        if blending is not None and blending.num_classes != num_classes:
            raise UserError(f'data_preprocessor.blending: its num_classes are {blending.num_classes}, those of the '
                            f'classifier {num_classes}')
        self.num_classes = num_classes
        self.label_smoothing = label_smoothing
        self.pool = Layers(self.backbone.dims).global_pool()
        self.fc = nn.Linear(self.backbone.feature_info.channels()[-1], num_classes)

    def forward(self, inputs: Tensor, labels: Tensor | None = None, mode: str = 'tensor') -> Tensor | dict | list[dict]:
        """Classifies normalised inputs.

        Args:
            inputs: (N, C, H, W) or (N, C, T, H, W).
            labels: (N,), or the shares of the classes (N, num_classes) for the mode 'loss', which requires labels. They
                are included in the results of 'predict'.
            mode: 'tensor' returns logits (N, num_classes); 'loss' a dict with ``loss`` (cross entropy) and ``accuracy``
                of the batch, for shares that of the largest one; 'predict' one dict per sample with ``pred_scores``
                (num_classes,) and ``gt_label``.
        """
        x = self.backbone(inputs)[-1]
        logits = self.fc(self.pool(x).flatten(1))
        if mode == 'tensor':
            return logits
        if mode == 'loss':
            assert labels is not None
            right = labels if labels.dim() == 1 else labels.argmax(1)
            return dict(loss=F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing),
                        accuracy=(logits.argmax(1) == right).float().mean())
        known = labels.tolist() if labels is not None else [None] * len(logits)
        return [dict(pred_scores=scores, gt_label=label) for scores, label in zip(logits.float().softmax(1), known)]


def create_classifier(name: str, num_classes: int | None = None, checkpoint_path: str | Path | None = None,
                      pretrained: bool | str = False, **options: Any) -> Classifier:
    """Creates a classifier whose backbone is given by name.

    Args:
        name: One of ``mmext.list_backbones()``.
        num_classes: Number of classes; by default 1000, or that of the pretrained weights. With another number than
            theirs, the pretrained weights are those of the backbone alone, and ``fc`` is initialised, as in timm.
        checkpoint_path: Weights of a whole classifier, in our format or that of the iResNet authors (without
            ``backbone.``).
        pretrained: The data set of published weights to load, such as 'cifar10', or True where there is only one, see
            ``mmext.list_pretrained()``. The model's ``data_preprocessor`` is then that of its training; the model
            takes normalised inputs, as without.
        options: Arguments of the backbone, such as ``stem='conv3x3'`` or ``in_channels=1``; timm's names work as for
            ``create_backbone``.

    Raises:
        UserError: The name is unknown, an option can't be used, there are no such weights, or the checkpoint does not
            contain exactly the weights of this classifier.
    """
    name, path = with_weights(name, checkpoint_path, pretrained)
    cls, arguments = find_backbone(name)
    options = translate_timm_options(options, cls, arguments, classifier=True)
    classes, preprocessor, weights = read_published(str(path)) if pretrained else (1000, None, None)
    if pretrained and num_classes not in (None, classes):
        return Classifier(create_backbone(name, path, **options), num_classes, preprocessor)
    model = Classifier(create_backbone(name, **options), classes if num_classes is None else num_classes, preprocessor)
    if path:
        load_classifier(model, weights or weights_of(read_checkpoint(path)), path)
    return model


def read_published(source: str) -> tuple[int, dict, dict[str, Tensor]]:
    """The number of classes and the ``data_preprocessor`` of published weights, and the weights."""
    trained = Trained.read(source)
    assert trained.classes and trained.stored
    return len(trained.classes), unpack(trained.stored, source).model.data_preprocessor, trained.weights


def load_classifier(model: Classifier, weights: dict[str, Tensor], path: str | Path) -> None:
    """Loads weights of a whole classifier, from ``path``. Raises UserError if they are not exactly those of the model.
    """
    if not any(key.startswith('backbone.') for key in weights):
        weights = {key if key.startswith('fc.') else f'backbone.{key}': value for key, value in weights.items()}
    require_match(model, weights, path)
    model.load_state_dict(weights, strict=False)
