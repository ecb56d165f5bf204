"""The losses of a detector on its validation set."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config

from mmext.config_tree import datasets_of, kind_of
from mmext.errors import UserError
from mmext.task import ValLoss

RESIZES = ('Resize', 'FixShapeResize', 'FixScaleResize')


def val_loss(config: Config) -> ValLoss:
    """See ``Task.val_loss``.

    mmdet's test pipelines load the annotations after they have resized the image, so that the boxes are those of the
    original image; the loss needs them in the resized one.

    Raises:
        UserError: the pipeline of the validation loads no annotations, or the detector also predicts masks.
    """
    datasets = datasets_of(config, 'val_dataloader')
    if not datasets:
        raise UserError('--val-loss: the config has no data set of the validation (val_dataloader)')
    if any(key.endswith('mask_head') for key in (*config.model, *(config.model.get('roi_head') or {}))):
        raise UserError('--val-loss: it is for detectors of boxes, and this model has a mask head')
    kinds = [kind_of(step) for step in datasets[0]['pipeline']]
    loaders = [i for i, kind in enumerate(kinds) if kind.endswith('LoadAnnotations')]
    if not loaders:
        raise UserError('--val-loss: the pipeline of the validation loads no annotations; add '
                        "dict(type='LoadAnnotations', with_bbox=True) to val_dataloader.dataset.pipeline")
    original = any(kind in RESIZES for kind in kinds[:loaders[0]])

    def losses(model: Any, batch: dict, outputs: Sequence) -> dict[str, torch.Tensor]:
        return losses_of(model, batch, original)

    return losses


def losses_of(model: Any, batch: dict, original: bool) -> dict[str, torch.Tensor]:
    """The losses of a batch: ``loss`` and its parts.

    Args:
        model: the detector.
        batch: a batch of the loader; it is not changed.
        original: whether its boxes are those of the original images.
    """
    data = model.data_preprocessor(copy.deepcopy(batch), False)
    for sample in data['data_samples'] if original else ():
        resize_boxes(sample)
    loss, parts = model.parse_losses(model.loss(data['inputs'], data['data_samples']))
    return dict({name: value for name, value in parts.items() if 'loss' in name}, loss=loss)


def resize_boxes(sample: DetDataSample) -> None:
    """Converts the annotated boxes from the original image to the resized one, in place."""
    scale = sample.metainfo.get('scale_factor', (1., 1.))
    parts: tuple[Any, ...] = (sample.gt_instances, sample.get('ignored_instances'))
    for objects in parts:
        if objects is not None and 'bboxes' in objects:
            objects.bboxes = objects.bboxes * objects.bboxes.new_tensor(scale[:2]).repeat(2)
