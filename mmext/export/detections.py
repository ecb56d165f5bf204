"""Detectors with non-maximum suppression: what mmdet does after the convolutions, with outputs of fixed size.

mmdet takes images one by one and drops boxes, so that the number of boxes differs. Here all images of a batch are
computed together, and boxes that are dropped get a score below every threshold.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mmext.detection.maps import anchors_first
from mmext.errors import UserError
from mmext.export.operators import suppress

DROPPED = -1.0  # a score below all thresholds; scores are from 0 to 1
PADDING = -1  # the label of what is not a detection


@dataclass(frozen=True)
class Suppression:
    """The settings of a non-maximum suppression.

    Attributes:
        iou: a box is removed if its IoU with a box of a higher score, and of the same class, is larger.
        score: boxes with this score or a lower one are removed.
        most: the largest number of boxes that are kept in an image.
        agnostic: boxes of other classes count, too.
    """

    iou: float
    score: float
    most: int
    agnostic: bool

    @classmethod
    def of(cls, settings: Mapping, score: float) -> Suppression:
        """The suppression of a part of mmdet's test_cfg. Raises a UserError if it is of another kind."""
        nms = dict(settings['nms'])
        iou, kind = nms.pop('iou_threshold', None), nms.pop('type', 'nms')
        agnostic = nms.pop('class_agnostic', False)
        nms.pop('split_thr', None)  # the same result in another way
        if kind != 'nms' or iou is None or nms:
            raise UserError(f"--nms: test_cfg has nms={dict(settings['nms'])}; need type='nms' and iou_threshold, no "
                            'more')
        if settings.get('max_per_img', 0) <= 0:
            raise UserError('--nms: test_cfg has no max_per_img, and the outputs need a fixed size')
        return cls(float(iou), float(score), int(settings['max_per_img']), bool(agnostic))

    def __call__(self, boxes: Tensor, scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Candidates of N images -> detections, highest score first.

        Args:
            boxes: (N, K, 4).
            scores: (N, K); ``DROPPED`` for what is no candidate.
            labels: (N, K) or (K,), int64.

        Returns:
            boxes (N, M, 4), scores (N, M) and labels (N, M), where M is ``most``, or K if that is less. What follows
            the detections of an image has score 0 and label ``PADDING``.
        """
        labels = labels.expand(scores.shape)
        kept = suppress(boxes if self.agnostic else self.apart(boxes, scores, labels), scores, self.iou, self.score,
                        self.most)
        scores, order = torch.where(kept, scores, DROPPED).topk(min(self.most, scores.shape[1]))
        found = scores > DROPPED
        boxes = boxes.gather(1, order[..., None].expand(-1, -1, 4))
        return (torch.where(found[..., None], boxes, 0.0), scores.clamp(min=0),
                torch.where(found, labels.gather(1, order), PADDING))

    def apart(self, boxes: Tensor, scores: Tensor, labels: Tensor) -> Tensor:
        """Boxes moved so that those of different classes don't overlap, by as much as mmcv does in each image."""
        largest = torch.where((scores > self.score)[..., None], boxes, 0.0).amax((1, 2))
        return boxes + (labels * (largest[:, None] + 1))[..., None]


def decode(coder: Any, priors: Tensor, deltas: Tensor, corner: Tensor) -> Tensor:
    """Boxes (..., 4) of priors and deltas of this shape, decoded by mmdet, and clipped to the image.

    Args:
        coder: mmdet's ``DeltaXYWHBBoxCoder``.
        priors: (..., 4), of the same shape as the deltas or expandable to it.
        deltas: (..., 4).
        corner: (4,), width, height, width, height of the image.
    """
    from mmdet.models.task_modules.coders.delta_xywh_bbox_coder import delta2bbox

    boxes = delta2bbox(priors.expand_as(deltas).reshape(-1, 4), deltas.reshape(-1, 4), coder.means, coder.stds,
                       clip_border=False, add_ctr_clamp=coder.add_ctr_clamp,
                       ctr_clamp=coder.ctr_clamp).reshape(deltas.shape)
    return torch.minimum(boxes.clamp(min=0), corner) if coder.clip_border else boxes


def probabilities(logits: Tensor, sigmoid: bool) -> Tensor:
    """Scores of the classes: after sigmoid, or after softmax and without background, which is the last one."""
    return logits.sigmoid() if sigmoid else logits.softmax(-1)[..., :-1]


def anchors_at(detector: Any, head: Any, size: Sequence[int]) -> list[Tensor]:
    """The anchors (anchors, 4) of each feature map of a dense head, in pixels of images of a size (H, W)."""
    with torch.no_grad():
        maps = head(detector.extract_feat(torch.zeros(1, 3, *size)))[0]
    return head.prior_generator.grid_priors([scores.shape[-2:] for scores in maps], device='cpu')


def corner_of(size: Sequence[int]) -> Tensor:
    """The largest coordinates of a box in an image of a size (H, W)."""
    return torch.tensor([size[1], size[0]] * 2, dtype=torch.float32)


class Candidates(nn.Module):
    """The best boxes of each feature map, decoded: what a dense head of mmdet gives to non-maximum suppression.

    Args:
        head: mmdet's AnchorHead, the dense head of a detector, or the RPN.
        anchors: those of each feature map, see ``anchors_at``.
        size: (H, W) of the images.
        settings: the head's part of test_cfg.
    """

    corner: Tensor
    levels: Tensor

    def __init__(self, head: Any, anchors: Sequence[Tensor], size: Sequence[int], settings: Mapping) -> None:
        super().__init__()
        self.coder, self.sigmoid = head.bbox_coder, head.use_sigmoid_cls
        self.channels, self.classes = head.cls_out_channels, head.num_classes
        self.smallest = settings.get('min_bbox_size', -1)
        most = settings.get('nms_pre', -1)
        self.counts = [min(most if most > 0 else math.inf, len(boxes) * self.classes) for boxes in anchors]
        for level, boxes in enumerate(anchors):
            self.register_buffer(f'anchors{level}', boxes, persistent=False)
        levels = torch.arange(len(anchors)).repeat_interleave(torch.tensor(self.counts))
        self.register_buffer('levels', levels, persistent=False)
        self.register_buffer('corner', corner_of(size), persistent=False)

    def forward(self, logits: Sequence[Tensor], deltas: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """The outputs of the head -> boxes (N, K, 4), scores and labels (N, K) of all feature maps together.

        ``levels`` (K,) has the feature map of each.
        """
        found = [self.of_level(level, *maps) for level, maps in enumerate(zip(logits, deltas, strict=True))]
        boxes, scores, labels = (torch.cat(parts, 1) for parts in zip(*found))
        if self.smallest >= 0:
            large = (boxes[..., 2:] - boxes[..., :2] > self.smallest).all(-1)
            scores = torch.where(large, scores, DROPPED)
        return boxes, scores, labels

    def of_level(self, level: int, logits: Tensor, deltas: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes, scores and labels of the best pairs of an anchor and a class of one feature map."""
        scores = probabilities(anchors_first(logits, self.channels), self.sigmoid).flatten(1)
        scores, order = scores.topk(self.counts[level])
        anchors = order // self.classes
        deltas = anchors_first(deltas, 4).gather(1, anchors[..., None].expand(-1, -1, 4))
        priors = getattr(self, f'anchors{level}')[anchors]
        return decode(self.coder, priors, deltas, self.corner), scores, order % self.classes
