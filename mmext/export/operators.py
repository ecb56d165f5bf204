"""Operators that torch lacks, for exported detectors: non-maximum suppression and RoIAlign.

In torch they are computed by mmcv; in an ONNX file they are the operators ``NonMaxSuppression`` and ``RoiAlign``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


@torch.library.custom_op('mmext::suppress', mutates_args=())
def suppress(boxes: Tensor, scores: Tensor, iou_threshold: float, score_threshold: float, most: int) -> Tensor:
    """Greedy non-maximum suppression of each image by itself.

    Args:
        boxes: (N, K, 4), left, top, right, bottom.
        scores: (N, K).
        iou_threshold: a box is removed if its IoU with a kept box of a higher score is larger.
        score_threshold: boxes of this score or a lower one are removed.
        most: the largest number of boxes to keep in an image, those of the highest scores.

    Returns:
        Which boxes are kept, bool (N, K).
    """
    from mmcv.ops import nms

    kept = torch.zeros_like(scores, dtype=torch.bool)
    for image in range(len(boxes)):
        places = (scores[image] > score_threshold).nonzero().squeeze(1)
        if len(places):
            found = nms(boxes[image, places].contiguous(), scores[image, places].contiguous(), iou_threshold)[1]
            kept[image, places[found[:most]]] = True
    return kept


@suppress.register_fake
def _(boxes: Tensor, scores: Tensor, iou_threshold: float, score_threshold: float, most: int) -> Tensor:
    return torch.empty_like(scores, dtype=torch.bool)


@torch.library.custom_op('mmext::roi_align', mutates_args=())
def roi_align(features: Tensor, boxes: Tensor, images: Tensor, size: int, scale: float, samples: int) -> Tensor:
    """Average RoIAlign whose pixels have their centres at half coordinates, which mmcv calls ``aligned``.

    Args:
        features: (N, C, H, W).
        boxes: (M, 4), left, top, right, bottom in pixels of the image.
        images: (M,), int64, the image of each box.
        size: the output has so many rows and columns.
        scale: the features' pixels per image pixel.
        samples: rows and columns of samples in a cell; 0 for as many as a cell has pixels.

    Returns:
        (M, C, size, size).
    """
    from mmcv.ops import roi_align as align

    rois = torch.cat([images[:, None].to(boxes), boxes], 1)
    return align(features, rois, (size, size), scale, samples, 'avg', True)


@roi_align.register_fake
def _(features: Tensor, boxes: Tensor, images: Tensor, size: int, scale: float, samples: int) -> Tensor:
    return features.new_empty(boxes.shape[0], features.shape[1], size, size)


def translations() -> dict[Any, Callable]:
    """What ``torch.onnx.export`` makes of the operators, its ``custom_translation_table``."""
    from onnxscript import opset18

    op: Any = opset18
    def onnx_suppress(boxes: Any, scores: Any, iou_threshold: float, score_threshold: float, most: int) -> Any:
        picked = op.NonMaxSuppression(boxes, op.Unsqueeze(scores, op.Constant(value_ints=[1])),
                                      op.Constant(value_ints=[most]), op.Constant(value_floats=[iou_threshold]),
                                      op.Constant(value_floats=[score_threshold]))
        places = op.Gather(picked, op.Constant(value_ints=[0, 2]), axis=1)  # image and box; the class is 0
        zeros = op.Mul(scores, op.Constant(value_float=0.0))
        count = op.Shape(places, start=0, end=1)
        return op.Cast(op.ScatterND(zeros, places, op.Expand(op.Constant(value_float=1.0), count)), to=9)

    def onnx_roi_align(features: Any, boxes: Any, images: Any, size: int, scale: float, samples: int) -> Any:
        return op.RoiAlign(features, boxes, images, coordinate_transformation_mode='half_pixel', mode='avg',
                           output_height=size, output_width=size, sampling_ratio=samples, spatial_scale=scale)

    return {torch.ops.mmext.suppress.default: onnx_suppress, torch.ops.mmext.roi_align.default: onnx_roi_align}
