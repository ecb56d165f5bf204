"""mmdet's SSD head with a loss that is computed for the whole batch, and does not depend on the number of processes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import torch
from mmdet.models.dense_heads import SSDHead as MMDetSSDHead
from mmdet.models.task_modules import BboxOverlaps2D, DeltaXYWHBBoxCoder, MaxIoUAssigner, PseudoSampler
from mmdet.utils import reduce_mean
from mmengine.dist import get_world_size
from torch import Tensor

from mmext.detection.maps import all_anchors
from mmext.detection.ssd_targets import classification, match, of_matched, regression
from mmext.registry import MODELS

EPS = torch.finfo(torch.float32).eps  # mmdet adds it to the divisor of the loss of boxes


@MODELS.register_module()
class SSDHead(MMDetSSDHead):
    """SSD's head (Liu et al., arXiv 1512.02325), with mmdet's arguments; in a single process it equals mmdet's.

    The loss is a sum over matched anchors, divided by their number N (eq. 1). With several processes, mmdet divides by
    the N of each process's own images. Here N is averaged over the processes, so that the averaged loss and gradients
    are those of the whole batch in one process.

    All images of a batch are matched at once, see ``ssd_targets.py``. With another assigner, sampler or coder than
    those of mmext's configs, mmdet's own code does that.
    """

    def loss_by_feat(self, cls_scores: list[Tensor], bbox_preds: list[Tensor], batch_gt_instances: list,
                     batch_img_metas: list[dict], batch_gt_instances_ignore: list | None = None) -> dict:
        """The losses of boxes and classes, each in a list, as mmdet's method returns them.

        Args:
            cls_scores: of each level, (N, anchors * classes, H, W).
            bbox_preds: of each level, (N, anchors * 4, H, W).
            batch_gt_instances: of each image, with ``bboxes`` and ``labels``.
            batch_img_metas: of each image.
            batch_gt_instances_ignore: of each image; they play no part.
        """
        sizes = [tuple(scores.shape[-2:]) for scores in cls_scores]
        if not self.matches_batches() or not self.all_valid(sizes, batch_img_metas):
            return super().loss_by_feat(cls_scores, bbox_preds, batch_gt_instances, batch_img_metas,
                                        batch_gt_instances_ignore)
        scores, predicted = all_anchors(cls_scores, self.cls_out_channels), all_anchors(bbox_preds, 4)
        anchors = torch.cat(self.prior_generator.grid_priors(sizes, device=scores.device))
        assigner, options = cast(MaxIoUAssigner, self.assigner), cast(Any, self.train_cfg)
        boxes = [objects.bboxes for objects in batch_gt_instances]
        matched = match(anchors, boxes, cast(float, assigner.pos_iou_thr), assigner.min_pos_iou)
        positive = matched >= 0
        background = torch.full((), self.num_classes, device=scores.device)
        labels = of_matched(matched, [objects.labels for objects in batch_gt_instances], background)
        true_boxes = of_matched(matched, boxes, anchors)
        targets = self.bbox_coder.encode(anchors.repeat(len(boxes), 1), true_boxes.flatten(0, 1)).view_as(predicted)
        count = positive.sum(1).clamp(min=1).sum().float()
        if get_world_size() > 1:
            count = reduce_mean(count)
        loss_cls = classification(scores, labels, positive, options['neg_pos_ratio']) / count
        loss_bbox = regression(predicted, targets, positive, options['smoothl1_beta']) / (count + EPS)
        return dict(loss_cls=[loss_cls.sum()], loss_bbox=[loss_bbox.sum()])

    def matches_batches(self) -> bool:
        """Whether ``ssd_targets`` does what assigner, sampler and coder would do."""
        assigner: Any = self.assigner
        options: Any = self.train_cfg
        return (type(assigner) is MaxIoUAssigner and type(assigner.iou_calculator) is BboxOverlaps2D
                and assigner.iou_calculator.dtype is None and assigner.pos_iou_thr == assigner.neg_iou_thr
                and assigner.match_low_quality and not assigner.gt_max_assign_all and assigner.ignore_iof_thr <= 0
                and assigner.perm_repeat_gt_cfg is None and type(self.sampler) is PseudoSampler
                and type(self.bbox_coder) is DeltaXYWHBBoxCoder and not self.reg_decoded_bbox
                and options['allowed_border'] < 0 and options['pos_weight'] <= 0)

    def all_valid(self, sizes: Sequence[tuple[int, ...]], metas: Sequence[dict]) -> bool:
        """Whether no anchor of any image lies on padding."""
        strides = self.prior_generator.strides
        return all(math.ceil(meta['pad_shape'][axis] / stride[1 - axis]) >= size[axis]
                   for meta in metas for size, stride in zip(sizes, strides) for axis in (0, 1))

    def get_targets(self, *args, **kwargs) -> tuple:
        """mmdet's targets, whose fifth element is N, averaged over the processes."""
        targets = super().get_targets(*args, **kwargs)
        if get_world_size() == 1:
            return targets
        labels, own = targets[0][0], targets[4]
        return (*targets[:4], reduce_mean(labels.new_tensor(own, dtype=torch.float32)), *targets[5:])
