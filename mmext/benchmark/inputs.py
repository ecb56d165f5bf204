"""What a config's model takes: the shape of a sample, as its training pipeline says, and made-up batches of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from mmengine.config import Config
from torch import nn

from mmext.classification import Classifier
from mmext.engine.config import datasets_of
from mmext.errors import UserError

KINDS = {'BaseDetector': 'detector', 'BaseRecognizer': 'recognizer', Classifier.__name__: 'classifier'}
BOXES = 7  # of a COCO image, on average
SIDES = 0.04, 0.9  # least and greatest side of a box over the image's


def kind_of(model: nn.Module) -> str:
    """'classifier', 'detector' or 'recognizer'; '' for any other model."""
    return next((KINDS[base.__name__] for base in type(model).__mro__ if base.__name__ in KINDS), '')


def sample_shape(config: Config, kind: str, size: Sequence[int] | None = None,
                 frames: int | None = None) -> tuple[int, ...]:
    """The shape of one sample, without the batch.

    Args:
        config: the whole config.
        kind: 'classifier', 'detector' or 'recognizer'.
        size: (height, width) in place of the pipeline's.
        frames: of a clip, in place of the pipeline's.

    Returns:
        (3, H, W); of a recognizer (clips, 3, T, H, W) or, in 2D, (frames, 3, H, W).

    Raises:
        UserError: the pipeline does not fix a size, or frames are asked of a model that takes images.
    """
    pipeline = training_pipeline(config)
    upstream_keeps = config.get('default_scope') == 'mmaction'
    size = tuple(size or picture_size(pipeline, upstream_keeps) or ())
    if not size:
        raise UserError('the training pipeline fixes no size of its images; give --size H W')
    if kind != 'recognizer':
        if frames:
            raise UserError(f'--frames {frames}: this model takes images, not clips')
        return 3, *size
    sampler = next((step for step in pipeline if 'clip_len' in step), {})
    frames, clips = frames or sampler.get('clip_len'), sampler.get('num_clips', 1)
    if not frames:
        raise UserError('the training pipeline fixes no clip_len; give --frames T')
    clips_in_3d = config.model.get('data_preprocessor', {}).get('format_shape') == 'NCTHW'
    return (clips, 3, frames, *size) if clips_in_3d else (clips * frames, 3, *size)


def training_pipeline(config: Config) -> list[dict]:
    """The steps of the config's training pipeline; those of the test if it has no other."""
    datasets = datasets_of(config, 'train_dataloader')
    return datasets[0]['pipeline'] if datasets else config.get('train_pipeline') or config.get('test_pipeline') or []


def picture_size(pipeline: Sequence[dict], keep_ratio: bool = False) -> tuple[int, int] | None:
    """(height, width) of what leaves a pipeline; None where it depends on the image.

    Args:
        pipeline: steps of mmcv, mmdet, mmaction2 or mmext, which write sizes as (width, height).
        keep_ratio: what a Resize does that does not say.
    """
    size = None
    for step in pipeline:
        kind = str(getattr(step['type'], '__name__', step['type'])).rpartition('.')[2]
        given = step.get('size', step.get('crop_size', step.get('input_size')))
        if kind == 'Resize':
            size = None if step.get('keep_ratio', keep_ratio) else pair(step.get('scale'))
        elif 'Crop' in kind or 'Pad' in kind and given:
            size = pair(given)
    return size


def pair(size: object) -> tuple[int, int] | None:
    """An int or (width, height) as (height, width); None where these are not pixels."""
    width, height = size if isinstance(size, (list, tuple)) and len(size) == 2 else (size, size)
    return (height, width) if all(isinstance(side, int) and side > 0 for side in (width, height)) else None


def made_up_batch(kind: str, shape: Sequence[int], batch: int, num_classes: int, seed: int = 0) -> dict:
    """A batch as a loader gives it: random pixels of uint8, and targets like real ones.

    Args:
        kind: 'classifier', 'detector' or 'recognizer'.
        shape: of ``sample_shape``.
        batch: number of samples.
        num_classes: labels are below it.
        seed: the same one, the same batch.
    """
    rng = np.random.default_rng(seed)
    pixels = torch.from_numpy(rng.integers(0, 256, (batch, *shape), np.uint8))
    if kind == 'classifier':
        return dict(inputs=pixels, labels=torch.from_numpy(rng.integers(0, num_classes, batch)))
    make = detection_sample if kind == 'detector' else action_sample
    return dict(inputs=list(pixels), data_samples=[make(rng, shape, num_classes) for _ in range(batch)])


def detection_sample(rng: np.random.Generator, shape: Sequence[int], num_classes: int) -> object:
    """An image's annotations: boxes whose sides are of every order of magnitude, as in COCO, wholly inside."""
    from mmdet.structures import DetDataSample
    from mmengine.structures import InstanceData

    height, width = shape[-2:]
    sides = np.exp(rng.uniform(*np.log(SIDES), (BOXES, 2)))
    corner = rng.uniform(0, 1 - sides)
    boxes = np.hstack([corner, corner + sides]) * (width, height, width, height)
    sample = DetDataSample(metainfo=dict(img_shape=(height, width), ori_shape=(height, width), img_id=0,
                                         scale_factor=(1., 1.), batch_input_shape=(height, width)))
    sample.gt_instances = InstanceData(bboxes=torch.from_numpy(boxes.astype(np.float32)),
                                       labels=torch.from_numpy(rng.integers(0, num_classes, BOXES)))
    sample.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.int64))
    return sample


def action_sample(rng: np.random.Generator, shape: Sequence[int], num_classes: int) -> object:
    """The label of a clip."""
    from mmaction.structures import ActionDataSample
    return ActionDataSample(metainfo=dict(img_shape=tuple(shape[-2:]))).set_gt_label(int(rng.integers(num_classes)))
