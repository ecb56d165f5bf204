"""Export of Faster R-CNN, with FPN or on one feature map: its input are pixels, its outputs detections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from mmext.errors import UserError
from mmext.export.detections import Candidates, Suppression, anchors_at, corner_of, decode
from mmext.export.operators import roi_align

if TYPE_CHECKING:
    from mmdet.models.detectors import TwoStageDetector
    from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor


class TwoStages(nn.Module):
    """Maps normalised images (N, 3, H, W) to detections: what mmdet predicts for images of this size.

    The second stage computes only the proposals that there are, those of all images together.

    Args:
        detector: mmdet's TwoStageDetector with an RPN and a ``StandardRoIHead``.
        size: (H, W) of the images.

    Raises:
        UserError: see ``require_two_stages``; or it has another kind of non-maximum suppression.
    """

    corner: Tensor

    def __init__(self, detector: TwoStageDetector, size: Sequence[int]) -> None:
        super().__init__()
        require_two_stages(detector)
        self.detector: Any = detector
        settings: Any = detector.test_cfg
        self.proposing = Suppression.of(settings.rpn, -0.5)  # no proposal's score is too low
        self.detecting = Suppression.of(settings.rcnn, settings.rcnn.score_thr)
        head: Any = detector.rpn_head
        self.candidates = Candidates(head, anchors_at(detector, head, size), size, settings.rpn)
        self.register_buffer('corner', corner_of(size), persistent=False)

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes (N, M, 4) in pixels, scores (N, M) and labels (N, M), see ``Suppression``."""
        features = self.detector.extract_feat(inputs)
        boxes, scores, _ = self.candidates(*self.detector.rpn_head(features))
        proposals, _, levels = self.proposing(boxes, scores, self.candidates.levels)
        logits, deltas = self.second_stage(features, proposals, levels >= 0)
        scores = logits[..., :-1]
        priors = proposals[..., None, :]
        boxes = decode(self.detector.roi_head.bbox_head.bbox_coder, priors, deltas, self.corner).expand(
            *scores.shape, 4)
        labels = torch.arange(scores.shape[-1]).expand(scores.shape)
        return self.detecting(boxes.flatten(1, 2), scores.flatten(1), labels.flatten(1))

    def second_stage(self, features: Sequence[Tensor], proposals: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (N, P, classes + 1) and deltas (N, P, classes or 1, 4) of proposals (N, P, 4).

        Both are 0 where ``real`` (N, P), which is whether there is a proposal, is False.
        """
        head = self.detector.roi_head.bbox_head
        count = proposals.shape[1]
        pooled, places = self.pool(features, proposals.flatten(0, 1), real.flatten(), count)
        logits, deltas = head(pooled)
        filled = [rows.new_zeros(real.numel(), rows.shape[1]).index_put((places, ), rows)
                  for rows in (logits.softmax(-1), deltas)]
        return (filled[0].reshape(*real.shape, head.num_classes + 1),
                filled[1].reshape(*real.shape, 1 if head.reg_class_agnostic else head.num_classes, 4))

    def pool(self, features: Sequence[Tensor], boxes: Tensor, real: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """RoIAlign of each box on the map that fits its size.

        Args:
            features: the feature maps.
            boxes: (N x P, 4).
            real: (N x P,), bool; the others are left out.
            count: P.

        Returns:
            Features (M, C, size, size), those of the first map first, and the place of each among the boxes (M,).
        """
        extractor: SingleRoIExtractor = self.detector.roi_head.bbox_roi_extractor
        maps = features[:extractor.num_inputs]
        own = extractor.map_roi_levels(torch.cat([boxes[:, :1], boxes], 1), len(maps))
        pooled, places = [], []
        layers: Any = extractor.roi_layers
        for level, (layer, values) in enumerate(zip(layers, maps, strict=True)):
            here = (real & (own == level)).nonzero().squeeze(1)
            pooled.append(roi_align(values, boxes[here], here // count, layer.output_size[0], layer.spatial_scale,
                                    layer.sampling_ratio))
            places.append(here)
        return torch.cat(pooled), torch.cat(places)


def require_two_stages(detector: nn.Module) -> None:
    """Raises a UserError unless a detector is a Faster R-CNN: an RPN, RoIAlign, and one head of boxes."""
    from mmcv.ops import RoIAlign
    from mmdet.models.dense_heads import RPNHead
    from mmdet.models.detectors import TwoStageDetector
    from mmdet.models.roi_heads import StandardRoIHead
    from mmdet.models.roi_heads.bbox_heads import BBoxHead
    from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor

    roi_head: Any = getattr(detector, 'roi_head', None)
    fits = (isinstance(detector, TwoStageDetector) and type(detector.rpn_head) is RPNHead
            and type(roi_head) is StandardRoIHead and isinstance(roi_head.bbox_head, BBoxHead)
            and type(roi_head.bbox_roi_extractor) is SingleRoIExtractor and not roi_head.with_mask)
    if not fits or not all(isinstance(layer, RoIAlign) and layer.aligned and layer.pool_mode == 'avg'
                           and layer.output_size[0] == layer.output_size[1]
                           for layer in roi_head.bbox_roi_extractor.roi_layers):
        raise UserError(f'{type(detector).__name__}: of detectors with two stages, only Faster R-CNN with an aligned '
                        'average RoIAlign can be exported')
