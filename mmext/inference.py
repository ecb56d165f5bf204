"""A trained model on a user's own pictures or videos, which have no annotations."""

from __future__ import annotations

import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope

from mmext.backbones.trained import Trained, choose_device
from mmext.task import task_of


class Inferencer:
    """Calls a trained model with one item.

    A detector takes a picture, RGB, uint8, (height, width, 3), and gives ``detection.results.Detections``. A classifier
    takes one, too, and gives a ``classification.results.Classified``; a recognizer takes the path of a video file, and
    gives a ``video.results.Recognized``.

    Args:
        config: of the model; its test pipeline is used, but for the reading of annotations.
        trained: must hold exactly the model's weights; its classes are used, where it has some, and the heads are made
            for their number.
        device: to compute on; by default the GPU where there is one.
        score: detections of less are left out; the config's test_cfg may have left out more before.
        memory_format: of the weights, see ``memory_format.arrange_weights``.

    Attributes:
        classes: the names, in the order of the scores; None where nothing tells.
        source: the checkpoint's file or URL.

    Raises:
        UserError: the config's model or pipeline takes no such items, or the checkpoint is not this model's; in a call:
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
        """The typed result of an item; ``path`` is the file that a picture comes from, for what names it."""
        data = self.task.prepare(self.pipeline, item, path)
        with torch.no_grad():
            sample = self.model.test_step(self.task.collate([data]))[0]
        return self.task.result(self, item, data, sample)
