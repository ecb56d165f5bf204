"""The anchors of a detector, as its dense head or its RPN lays them over an image."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, TASK_UTILS, DefaultScope

from mmext.backbones.meta import on_meta
from mmext.samples import Anchors


def anchors_of(config: Config, size: Sequence[int]) -> Anchors | None:
    """The anchors for an input of (height, width).

    The sizes of the feature maps come from the model itself, which runs without memory or weights.

    Returns:
        None for a model without an anchor generator, or whose assigner has no single IoU threshold.
    """
    model = config.model
    head = model.get('rpn_head') or model.get('bbox_head') or {}
    generator = head.get('anchor_generator') if isinstance(head, dict) else None
    training = model.get('train_cfg') or {}
    training = (training.get('rpn') or {}) if model.get('rpn_head') else training
    least_iou = (training.get('assigner') or {}).get('pos_iou_thr')
    if not generator or not isinstance(least_iou, (int, float)):
        return None
    with DefaultScope.overwrite_default_scope(config.get('default_scope') or 'mmdet'):
        boxes = TASK_UTILS.build(copy.deepcopy(generator)).grid_priors(map_sizes(model, size), device='cpu')
    boxes = torch.cat(boxes).double().numpy()
    shapes = np.unique((boxes[:, 2:] - boxes[:, :2]).round(3), axis=0)
    return Anchors(boxes, float(least_iou), shapes)


def map_sizes(model: dict, size: Sequence[int]) -> list[tuple[int, ...]]:
    """The (height, width) of the feature maps of a detector's config for an input of (height, width)."""
    divisor = (model.get('data_preprocessor') or {}).get('pad_size_divisor') or 1
    height, width = (-(-side // divisor) * divisor for side in size)
    model = copy.deepcopy(model)
    model['backbone']['init_cfg'] = None
    with on_meta(), torch.no_grad():
        built = cast(Any, MODELS.build(model)).eval()
        return [tuple(map_.shape[-2:]) for map_ in built.extract_feat(torch.empty(1, 3, height, width))]
