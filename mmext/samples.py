"""The size of the pictures that a pipeline makes."""

from __future__ import annotations

from collections.abc import Sequence

from mmengine.config import Config

from mmext.config_tree import datasets_of, kind_of


def training_pipeline(config: Config) -> list[dict]:
    """The steps of the training data; of a config that has none, its variable ``train_pipeline`` or those of a test."""
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
        kind = kind_of(step)
        given = step.get('size', step.get('crop_size', step.get('input_size')))
        if kind == 'Resize':
            size = None if step.get('keep_ratio', keep_ratio) else pair(step.get('scale'))
        elif 'Crop' in kind or 'Pad' in kind and given:
            size = pair(given)
    return size


def pair(size: object) -> tuple[int, int] | None:
    """An int or (width, height) as (height, width); None where these are not pixels."""
    width, height = size if isinstance(size, (list, tuple)) and len(size) == 2 else (size, size)
    if isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0:
        return height, width
    return None
