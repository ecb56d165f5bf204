"""Export of a single-stage detector: its input are pixels, its outputs boxes and scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor, nn

from mmext.backbones.names import name_of
from mmext.backbones.trained import Trained
from mmext.backbones.weights import require_match
from mmext.errors import UserError
from mmext.export.graph import Graph, random_pixels

if TYPE_CHECKING:
    from mmdet.models.dense_heads import AnchorHead
    from mmdet.models.detectors import SingleStageDetector


class Detector(nn.Module):
    """Maps pixels (N, 3, H, W) from 0 to 255 to boxes (N, anchors, 4) and scores (N, anchors, classes).

    Normalisation is included. A box is (left, top, right, bottom) in pixels of the input, clipped to it. Scores are
    after softmax, without background, or after sigmoid, as the head has it. Both are what mmdet has before it removes
    low scores and applies non-maximum suppression.

    Args:
        detector: mmdet's SingleStageDetector, with anchors and ``DeltaXYWHBBoxCoder``.
        size: (H, W) of the images.

    Raises:
        UserError: it is another kind of detector.
    """

    priors: Tensor
    corner: Tensor

    def __init__(self, detector: SingleStageDetector, size: Sequence[int]) -> None:
        super().__init__()
        require_anchors(detector)
        head: AnchorHead = detector.bbox_head
        self.detector = detector
        self.head = head
        with torch.no_grad():
            maps = detector.extract_feat(torch.zeros(1, 3, *size))
            sizes = [scores.shape[-2:] for scores in head(maps)[0]]
        priors = head.prior_generator.grid_priors(sizes, device='cpu')
        self.register_buffer('priors', torch.cat(priors), persistent=False)
        self.register_buffer('corner', torch.tensor([size[1], size[0]] * 2, dtype=torch.float32), persistent=False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes (N, anchors, 4) in pixels and scores (N, anchors, classes) of images (N, 3, H, W)."""
        inputs: Any = self.detector.data_preprocessor
        if inputs._enable_normalize:
            images = (images - inputs.mean) / inputs.std
        scores, deltas = self.head(self.detector.extract_feat(images))
        scores = anchors_first(scores, self.head.cls_out_channels)
        scores = scores.sigmoid() if self.head.use_sigmoid_cls else scores.softmax(-1)[..., :-1]
        return self.boxes(anchors_first(deltas, 4)), scores

    def boxes(self, deltas: Tensor) -> Tensor:
        """Boxes (N, anchors, 4) of deltas of the same shape, decoded by mmdet and clipped to the image."""
        from mmdet.models.task_modules.coders.delta_xywh_bbox_coder import delta2bbox
        coder = self.head.bbox_coder
        priors = self.priors.expand_as(deltas).reshape(-1, 4)
        boxes = delta2bbox(priors, deltas.reshape(-1, 4), coder.means, coder.stds, clip_border=False,
                           add_ctr_clamp=coder.add_ctr_clamp, ctr_clamp=coder.ctr_clamp).reshape(deltas.shape)
        return torch.minimum(boxes.clamp(min=0), self.corner) if coder.clip_border else boxes


def require_anchors(detector: nn.Module) -> None:
    """Raises a UserError unless a detector is an SSD or RetinaNet, with one stage and anchors."""
    from mmdet.models.dense_heads import RetinaHead, SSDHead
    from mmdet.models.detectors import SingleStageDetector
    head = getattr(detector, 'bbox_head', None)
    if not isinstance(detector, SingleStageDetector) or not isinstance(head, (SSDHead, RetinaHead)):
        raise UserError(f'{type(detector).__name__}: only SSD and RetinaNet can be exported as a whole; of any other '
                        'detector the backbone can: mmext export backbone NAME --checkpoint CKPT')


def anchors_first(maps: Sequence[Tensor], numbers: int) -> Tensor:
    """Maps (N, anchors x numbers, H, W) of all levels -> (N, anchors of all levels, numbers)."""
    return torch.cat([level.permute(0, 2, 3, 1).reshape(level.shape[0], -1, numbers) for level in maps], 1)


def detector_graph(config: Config, trained: Trained, size: Sequence[int] | None = None) -> Graph:
    """A config's detector with a checkpoint's weights, ready for ``write_onnx``.

    The input of the file is ``images``, its outputs are ``boxes`` and ``scores`` (see ``Detector``). Images have one
    size, and their channels have the order that the metadata of the file name (``color``: RGB or BGR).

    Args:
        config: of ``load_config`` or ``read_model``.
        trained: must hold exactly the weights of the model.
        size: (H, W) of the images; that of an SSD is known from its config.

    Raises:
        UserError: the checkpoint is not this model's, it is another kind of detector, or the size is not known.
    """
    init_default_scope(config.get('default_scope') or 'mmdet')
    network = config.model['backbone']
    config.model.backbone = dict(network, init_cfg=None)
    model = MODELS.build(config.model).eval()
    require_anchors(model)
    require_match(model, trained.weights, trained.source)
    model.load_state_dict(trained.weights, strict=False)
    inputs = model.data_preprocessor
    metadata = dict(
        backbone=name_of(network) or network['type'], classes=list(trained.classes or ()),
        color='RGB' if inputs._channel_conversion else 'BGR',
        **{key: list(config.model.data_preprocessor.get(key) or ()) for key in ('mean', 'std')},
        boxes='left, top, right, bottom in pixels of the input', test_cfg=model.test_cfg.to_dict())
    size = image_size(model.bbox_head.prior_generator, size)
    return Graph(Detector(model, size).eval(), 'images', ('boxes', 'scores'), (3, *size), metadata,
                 make_input=random_pixels)


def image_size(priors: object, size: Sequence[int] | None) -> tuple[int, int]:
    """The size (H, W) of a detector's images. UserError if neither it nor the user gives it, or they differ."""
    own = getattr(priors, 'input_size', None)
    if size is None:
        if own is None:
            raise UserError('--size: this detector takes images of any size, its ONNX file only of one; '
                            'give --size H W')
        return own, own
    height, width = size
    if own is not None and (height, width) != (own, own):
        raise UserError(f'--size {height} {width}: this detector takes {own} x {own}')
    return height, width
