"""Export of classifiers and recognizers: their input are pixels, their output the scores of the classes."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope
from torch import Tensor, device, nn

from mmext.backbones.names import name_of
from mmext.backbones.trained import Trained
from mmext.data.decoding import read_rgb
from mmext.errors import UserError
from mmext.export.graph import Graph, random_pixels
from mmext.task import Task, task_of

EXAMPLES = dict(classification=(600, 800, 3), recognition=(300, 240, 320, 3))  # an image, and the frames of a video


class Scorer(nn.Module):
    """Maps pixels from 0 to 255, images (N, 3, H, W) or clips (N, 3, T, H, W), to scores (N, classes).

    Normalisation and softmax are included.

    Args:
        model: a ``Classifier``, or mmaction2's Recognizer3D.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model: Any = model

    def forward(self, pixels: Tensor) -> tuple[Tensor]:
        """The scores of each class, which sum to 1."""
        inputs = self.model.data_preprocessor
        pixels = (pixels - inputs.mean) / inputs.std
        head = getattr(self.model, 'cls_head', None)
        logits = self.model(pixels) if head is None else head(self.model.backbone(pixels))
        return (logits.softmax(-1), )


def scores_graph(config: Config, trained: Trained) -> Graph:
    """A trained classifier or recognizer, ready for ``write_onnx``.

    The input of the file is ``images`` (N, 3, H, W) or ``clips`` (N, 3, T, H, W), of the size to which the config's
    test pipeline crops; the output is ``scores`` (N, classes). A test of a recognizer averages the scores of several
    clips and crops of a video.

    Args:
        config: of ``load_config`` or ``read_model``.
        trained: must hold exactly the weights of the model.

    Raises:
        UserError: the checkpoint is not this model's, or the model is neither a classifier nor a Recognizer3D.
    """
    task = task_of(config)
    task.require_model(config)
    if task.name not in EXAMPLES or task.name == 'recognition' and not task.takes_clips(config.model):
        raise UserError(f'{config.filename}: its model is {config.model.type}; classifiers and recognizers of clips '
                        '(Recognizer3D) can be exported with their scores')
    init_default_scope(config.get('default_scope') or 'mmengine')
    pipeline = Compose(task.inference_pipeline(config))
    shape = tuple(task.prepare(pipeline, np.zeros(EXAMPLES[task.name], np.uint8), 'example')['inputs'].shape)
    if task.name == 'recognition':
        shape = shape[1:]  # of a view
    model = cast(Any, trained.build(config.model, device('cpu'), 'contiguous'))
    metadata = dict(backbone=name_of(config.model.backbone) or config.model.backbone.type, color='RGB',
                    classes=list(trained.classes or ()),
                    **{key: getattr(model.data_preprocessor, key).flatten().tolist() for key in ('mean', 'std')})
    return Graph(Scorer(model).eval(), 'images' if len(shape) == 3 else 'clips', ('scores', ), shape, metadata,
                 make_input=random_pixels, read=partial(read, task, pipeline))


def read(task: Task, pipeline: Compose, path: Path) -> Tensor:
    """An image, or the clips and crops of a video, as the test pipeline makes them, float32."""
    inputs = task.prepare(pipeline, path if task.name == 'recognition' else read_rgb(path), str(path))['inputs'].float()
    return inputs if task.name == 'recognition' else inputs[None]
