"""Inference with a trained model on images or videos without annotations."""

from __future__ import annotations

import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope

from mmext.backbones.trained import Trained, choose_device
from mmext.task import task_of


class Inferencer:
    """Applies a trained model to one item per call.

    A detector takes an RGB image, a uint8 array (height, width, 3), and returns ``detection.results.Detections``. A
    classifier takes such an image as well and returns ``classification.results.Classified``. A recognizer takes the
    path of a video file and returns ``video.results.Recognized``.

    Args:
        config: The config of the model; its test pipeline is used, except for loading annotations.
        trained: The checkpoint. It must contain exactly the weights of the model; its classes are used if it has any.
        device: The device to compute on; by default the GPU if there is one.
        score: Detections with a lower score are dropped. The config's test_cfg may drop others before.
        memory_format: Memory format of the weights, see ``memory_format.arrange_weights``.

    Attributes:
        classes: The names of the classes, in the order of the scores; None if they are unknown.
        source: File or URL of the checkpoint.

    Raises:
        UserError: The model or pipeline does not take such items, or the checkpoint does not fit the model. In a call:
            a video can't be read, or a score is not finite.
    """

    def __init__(self, config: Config, trained: Trained, device: torch.device | None = None, score: float = 0.3,
                 memory_format: str = 'auto') -> None:
        self.task = task_of(config)
        self.task.require_model(config)
        init_default_scope(config.get('default_scope') or 'mmengine')
        self.pipeline = Compose(self.task.inference_pipeline(config))
        self.model = trained.build(config.model, device or choose_device(), memory_format)
        self.classes = trained.classes or self.task.known_classes(self.model)
        self.score = score
        self.source = trained.source

    def __call__(self, item: object, path: str = '') -> object:
        """Returns the result for an item. ``path`` is the file of an image, used in messages."""
        data = self.task.prepare(self.pipeline, item, path)
        with torch.no_grad():
            sample = self.model.test_step(self.task.collate([data]))[0]
        return self.task.result(self, item, data, sample)
