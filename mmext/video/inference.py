"""Application of a trained recognizer to videos without labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import init_default_scope

from mmext.backbones.trained import Trained, choose_device
from mmext.data.standard import read_with_ours
from mmext.errors import UserError
from mmext.video.drawing import Shown
from mmext.video.hooks import frames_of


@dataclass(frozen=True)
class Recognized:
    """A recognizer's prediction for a video.

    Args:
        path: of the video.
        scores: from 0 to 1, by class.
        frames: of one of its views, RGB, uint8, (T, height, width, 3).
    """

    path: Path
    scores: dict[str, float]
    frames: np.ndarray

    def best(self, count: int) -> list[tuple[str, float]]:
        """The ``count`` classes with the highest scores, and their scores, in descending order."""
        return sorted(self.scores.items(), key=lambda item: -item[1])[:count]

    def shown(self) -> Shown:
        """What ``drawing`` draws of it."""
        return Shown(self.frames, self.path.name, *self.best(1)[0])


class Inferencer:
    """A recognizer of video files: called with a path, it returns a ``Recognized``.

    Args:
        config: of the recognizer; its test pipeline is used.
        trained: must hold exactly the model's weights; names of classes are taken from it, where it has some.
        memory_format: of the weights, see ``memory_format.arrange_weights``.

    Raises:
        UserError: the checkpoint is of another model, or the config is not of a recognizer of video files; when called:
            the video can't be read, or a score is not finite.
    """

    def __init__(self, config: Config, trained: Trained, memory_format: str = 'auto') -> None:
        init_default_scope(config.get('default_scope', 'mmaction'))
        pipeline = config.get('test_dataloader', {}).get('dataset', {}).get('pipeline', [])
        pipeline = read_with_ours(pipeline, 'raise')
        if not any(step['type'] == 'mmext.OpenVideo' for step in pipeline):
            raise UserError(f'{config.filename}: no DecordInit or mmext.OpenVideo in its test pipeline; need a '
                            'recognizer of video files')
        self.model = trained.build(config.model, choose_device(), memory_format)
        self.classes = trained.classes
        self.pipeline = Compose(pipeline)
        self.source = trained.source

    def __call__(self, path: Path) -> Recognized:
        try:
            data = self.pipeline(dict(filename=str(path), label=-1, start_index=0, modality='RGB'))
        except UserError as error:
            raise UserError(str(error).partition('; mend')[0]) from None  # the advice is for a test
        with torch.no_grad():
            scores = self.model.test_step(pseudo_collate([data]))[0].pred_score.cpu()
        if not scores.isfinite().all():
            raise UserError(f'{path}: its scores are not finite; is {self.source} of a training that went well?')
        names = self.classes or range(len(scores))
        by_name = {str(name): score for name, score in zip(names, scores.tolist())}
        return Recognized(path, by_name, frames_of(data['inputs']))
