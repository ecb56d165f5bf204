"""Whole models with the weights that training left, for inference."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from torch import Tensor

from mmext.backbones.memory_format import arrange_weights
from mmext.backbones.weights import require_match
from mmext.checkpoints import read_checkpoint, weights_of
from mmext.errors import UserError
from mmext.text import require_names

AS_IN_TRAINING = ' give --backbone, --classes and --cfg-options as in training'


@dataclass(frozen=True)
class Trained:
    """What a checkpoint holds.

    Args:
        source: its file or URL.
        weights: by name.
        classes: their names, in the order of the scores; None where it has none.
    """

    source: str
    weights: dict[str, Tensor] = field(repr=False)
    classes: tuple[str, ...] | None

    @classmethod
    def read(cls, source: str) -> Trained:
        """Reads a checkpoint; the classes of mmengine's, and of those from mmdet 2 and mmaction2 0.x.

        Raises:
            UserError: it is missing, truncated or not a checkpoint.
        """
        content = read_checkpoint(source)
        meta = dict_of(content.get('meta'))
        told = dict_of(meta.get('dataset_meta'))
        classes = told.get('classes') or told.get('CLASSES') or meta.get('CLASSES')
        if isinstance(classes, str):
            classes = (classes, )
        if not isinstance(classes, (list, tuple, type(None))):
            raise UserError(f'{source}: its classes are a {type(classes).__name__}, not a list of names')
        classes = tuple(map(str, classes)) if classes else None
        require_names(classes or (), f'{source}: its meta')
        return cls(source, weights_of(content), classes)

    def build(self, model: dict, device: torch.device, memory_format: str = 'auto') -> BaseModel:
        """A model in eval mode.

        Args:
            model: its config.
            device: to put it on.
            memory_format: of its weights, see ``memory_format.arrange_weights``.

        Raises:
            UserError: the checkpoint does not hold exactly the model's weights.
        """
        built = MODELS.build(model).eval()
        require_match(built, self.weights, self.source, AS_IN_TRAINING)
        built.load_state_dict(self.weights, strict=False)  # but for counters that require_match lets be absent
        built.to(device)
        arrange_weights(built, memory_format)
        return built


def choose_device(name: str | None = None) -> torch.device:
    """A device by its name, by default the GPU where there is one.

    Raises:
        UserError: there is no such device.
    """
    if name is None:
        return torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f'--device {name}: no such device; use cpu, cuda or cuda:<number>') from None
    if device.type not in ('cpu', 'cuda'):
        raise UserError(f'--device {name}: use cpu, cuda or cuda:<number>')
    if device.type == 'cuda' and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f'--device {name}: torch sees {torch.cuda.device_count()} GPUs; python -m mmext.doctor says '
                        'more')
    return device


def dict_of(value: object) -> dict:
    """A part of a foreign file that should be a dict; an empty one where it is anything else."""
    return value if isinstance(value, dict) else {}
