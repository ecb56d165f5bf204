"""Trained models for inference: a checkpoint's weights and classes, and the model built from them."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from torch import Tensor

from mmext.backbones.memory_format import arrange_weights
from mmext.backbones.weights import require_match
from mmext.checkpoints import read_checkpoint, weights_of
from mmext.checkpoints.format import KEY
from mmext.errors import UserError
from mmext.text import require_names

AS_IN_TRAINING = ' give the same --backbone, --classes and --cfg-options as in training'


@dataclass(frozen=True)
class Trained:
    """The content of a checkpoint.

    Args:
        source: File or URL of the checkpoint.
        weights: The tensors by name.
        classes: The names of the classes, in the order of the scores; None if the checkpoint does not contain them.
        stored: What inference needs of the config, see ``checkpoints.stored``; None if the checkpoint contains none.
    """

    source: str
    weights: dict[str, Tensor] = field(repr=False)
    classes: tuple[str, ...] | None
    stored: str | None = field(default=None, repr=False)

    @classmethod
    def read(cls, source: str) -> Trained:
        """Reads a checkpoint of mmengine, or of the older mmdet 2 and mmaction2 0.x.

        Raises:
            UserError: The file is missing, truncated or not a checkpoint.
        """
        content = read_checkpoint(source)
        meta = dict_or_empty(content.get('meta'))
        dataset_meta = dict_or_empty(meta.get('dataset_meta'))
        classes = dataset_meta.get('classes') or dataset_meta.get('CLASSES') or meta.get('CLASSES')
        if isinstance(classes, str):
            classes = (classes, )
        if not isinstance(classes, (list, tuple, type(None))):
            raise UserError(f'{source}: the classes are a {type(classes).__name__}, not a list of names')
        classes = tuple(map(str, classes)) if classes else None
        require_names(classes or (), f'{source}: its meta')
        stored = meta.get(KEY)
        return cls(source, weights_of(content), classes, stored if isinstance(stored, str) else None)

    def build(self, model: dict, device: torch.device, memory_format: str = 'auto') -> BaseModel:
        """Builds a model with these weights, in eval mode.

        Args:
            model: The config of the model.
            device: The device of the model.
            memory_format: Memory format of the weights, see ``memory_format.arrange_weights``.

        Raises:
            UserError: The checkpoint does not contain exactly the weights of the model.
        """
        built = MODELS.build(model).eval()
        require_match(built, self.weights, self.source, AS_IN_TRAINING)
        built.load_state_dict(self.weights, strict=False)  # counters that require_match ignores may be missing
        built.to(device)
        arrange_weights(built, memory_format)
        return built


def choose_device(name: str | None = None) -> torch.device:
    """Returns the device with this name; by default the GPU if there is one, else the CPU.

    Raises:
        UserError: There is no such device.
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


def dict_or_empty(value: object) -> dict:
    """Returns the value if it is a dict, else an empty dict."""
    return value if isinstance(value, dict) else {}
