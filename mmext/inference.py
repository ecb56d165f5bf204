"""Inference with a trained model on images or videos without annotations."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope
from PIL import Image

from mmext.backbones.trained import Trained, choose_device
from mmext.data.inputs import files_in, require_local
from mmext.errors import UserError
from mmext.results import Result
from mmext.task import task_of


class Inferencer:
    """A trained model that is called with files or arrays; ``mmext.load`` makes one.

    | task | items | result |
    |---|---|---|
    | detection | an image, or a video, whose frames it takes one by one | ``Detections`` or ``DetectedVideo`` |
    | classification | an image | ``Classified`` |
    | recognition | a video | ``Recognized`` |

    An image is the path of a file, an RGB array, uint8 (height, width, 3), or a PIL image; a video is the path of a
    file or, for recognizers, an RGB array, uint8 (T, height, width, 3). A list of items gives a list of results, and so
    does a folder, for the images or videos in it. Every result has ``draw()``, ``save(path)`` and ``as_json()``.

    Args:
        config: The config of the model; its test pipeline is used, except for loading annotations.
        trained: The checkpoint. It must contain exactly the weights of the model; its classes are used if it has any.
        device: The device to compute on; by default the GPU if there is one.
        score: Detections with a lower score are dropped. The config's test_cfg may drop others before.
        memory_format: Memory format of the weights, see ``memory_format.arrange_weights``.

    Attributes:
        task: The task of the model.
        classes: The names of the classes, in the order of the scores; None if they are unknown.
        source: File or URL of the checkpoint.

    Raises:
        UserError: The model or pipeline does not take such items, mmcv has no operators for it on a GPU, or the
            checkpoint does not fit the model. In a call: a file can't be read, an item is of the wrong kind, or a
            score is not finite.
    """

    def __init__(self, config: Config, trained: Trained, device: torch.device | None = None, score: float = 0.3,
                 memory_format: str = 'auto') -> None:
        self.task = task_of(config)
        self.task.require_model(config)
        device = device or choose_device()
        self.task.require_operators(device)
        init_default_scope(config.get('default_scope') or 'mmengine')
        self.pipeline = Compose(self.task.inference_pipeline(config))
        self.model = trained.build(config.model, device, memory_format)
        self.classes = trained.classes or self.task.known_classes(self.model)
        self.score = score
        self.source = trained.source

    def __call__(self, item: str | os.PathLike | np.ndarray | Image.Image | Sequence, path: str = '') -> Any:
        """Returns the result for an item, or a list of results. ``path`` is the file of an array, for messages."""
        if isinstance(item, (list, tuple)):
            return [self(one) for one in item]
        if isinstance(item, (str, os.PathLike)):
            return self.infer_path(os.fspath(item))
        array = np.asarray(item.convert('RGB')) if isinstance(item, Image.Image) else item
        self.task.require_array(array)
        return self.infer(cast(np.ndarray, array), path)

    def infer_path(self, name: str) -> Result | list[Result]:
        """Returns the result for a file, or those for the files in a folder."""
        require_local(name)
        path = Path(name)
        if not path.is_dir():
            if not path.exists():
                raise UserError(f'{path}: no such file')
            return self.task.infer_file(self, path)
        files = files_in(path, self.task.inputs)
        if not files:
            raise UserError(f'{path}: no {" or ".join(self.task.inputs)} in this folder')
        return [self.task.infer_file(self, file) for file in files]

    def infer(self, item: np.ndarray | os.PathLike, path: str = '') -> Any:
        """Returns the result for what the model takes at once: an array, or for recognizers also a video file."""
        data = self.task.prepare(self.pipeline, item, path)
        with torch.no_grad():
            sample = self.model.test_step(self.task.collate([data]))[0]
        return self.task.result(self, item, data, sample)
