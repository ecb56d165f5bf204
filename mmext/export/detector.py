"""Export of a detector: its input are pixels, its outputs boxes and scores, with or without suppression."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor, nn

from mmext.backbones.names import name_of
from mmext.backbones.trained import Trained
from mmext.backbones.weights import require_match
from mmext.data.decoding import read_rgb
from mmext.detection.maps import all_anchors
from mmext.errors import UserError
from mmext.export.detections import Candidates, Suppression, anchors_at, corner_of, decode, probabilities
from mmext.export.graph import Graph, random_pixels
from mmext.export.matching import PIXELS, SCORE, SHARE, detection_differences
from mmext.export.two_stage import TwoStages, require_two_stages

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
        self.detector = detector
        self.head: AnchorHead = detector.bbox_head
        self.register_buffer('priors', torch.cat(anchors_at(detector, self.head, size)), persistent=False)
        self.register_buffer('corner', corner_of(size), persistent=False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes (N, anchors, 4) in pixels and scores (N, anchors, classes) of images (N, 3, H, W)."""
        logits, deltas = self.head(self.detector.extract_feat(normalised(self.detector, images)))
        scores = probabilities(all_anchors(logits, self.head.cls_out_channels), self.head.use_sigmoid_cls)
        return decode(self.head.bbox_coder, self.priors, all_anchors(deltas, 4), self.corner), scores


class OneStage(nn.Module):
    """Maps normalised images (N, 3, H, W) to detections, see ``Suppression``.

    Args: as for ``Detector``.

    Raises:
        UserError: it is another kind of detector, or has another kind of non-maximum suppression.
    """

    def __init__(self, detector: SingleStageDetector, size: Sequence[int]) -> None:
        super().__init__()
        require_anchors(detector)
        self.detector: Any = detector
        settings: Any = detector.test_cfg
        self.suppression = Suppression.of(settings, settings.get('score_thr', 0))
        self.candidates = Candidates(detector.bbox_head, anchors_at(detector, detector.bbox_head, size), size, settings)

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes (N, M, 4) in pixels, scores (N, M) and labels (N, M)."""
        return self.suppression(*self.candidates(*self.detector.bbox_head(self.detector.extract_feat(inputs))))


class Suppressed(nn.Module):
    """Maps pixels (N, 3, H, W) from 0 to 255 to detections: what mmdet predicts for images of this size.

    Args:
        detector: mmdet's detector, whose mean and deviation are used.
        network: its ``OneStage`` or ``TwoStages``.
    """

    def __init__(self, detector: nn.Module, network: nn.Module) -> None:
        super().__init__()
        self.detector = detector
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes (N, M, 4) in pixels, scores (N, M) and labels (N, M), see ``Suppression``."""
        return self.network(normalised(self.detector, images))


def normalised(detector: Any, images: Tensor) -> Tensor:
    """Images with the mean and the deviation of a detector's data preprocessor."""
    inputs = detector.data_preprocessor
    return (images - inputs.mean) / inputs.std if inputs._enable_normalize else images


def require_anchors(detector: nn.Module) -> None:
    """Raises a UserError unless a detector is an SSD or RetinaNet, with one stage and anchors."""
    from mmdet.models.dense_heads import RetinaHead, SSDHead
    from mmdet.models.detectors import SingleStageDetector
    head = getattr(detector, 'bbox_head', None)
    if not isinstance(detector, SingleStageDetector) or not isinstance(head, (SSDHead, RetinaHead)):
        raise UserError(f'{type(detector).__name__}: only SSD and RetinaNet, and Faster R-CNN with --nms, can be '
                        'exported as a whole; of any other detector the backbone can: mmext export backbone NAME '
                        '--checkpoint CKPT')


def detector_graph(config: Config, trained: Trained, size: Sequence[int] | None = None, nms: bool = False) -> Graph:
    """A config's detector with a checkpoint's weights, ready for ``write_onnx``.

    The input of the file is ``images``, its outputs are ``boxes`` and ``scores`` (see ``Detector``), and with ``nms``
    also ``labels`` (see ``Suppression``). Images have one size, and their channels have the order that the metadata of
    the file name (``color``: RGB or BGR).

    Args:
        config: of ``load_config`` or ``read_model``.
        trained: must hold exactly the weights of the model.
        size: (H, W) of the images; that of an SSD is known from its config.
        nms: include non-maximum suppression, which a detector with two stages needs.

    Raises:
        UserError: the checkpoint is not this model's, it is another kind of detector, or the size is not known or can't
            be used.
    """
    init_default_scope(config.get('default_scope') or 'mmdet')
    network = config.model['backbone']
    config.model.backbone = dict(network, init_cfg=None)
    model = MODELS.build(config.model).eval()
    two_stages = hasattr(model, 'roi_head')
    if nms and two_stages:
        require_two_stages(model)
    else:
        require_anchors(model)
    require_match(model, trained.weights, trained.source)
    model.load_state_dict(trained.weights, strict=False)
    inputs = model.data_preprocessor
    metadata = dict(
        backbone=name_of(network) or network['type'], classes=list(trained.classes or ()),
        color='RGB' if inputs._channel_conversion else 'BGR',
        **{key: list(config.model.data_preprocessor.get(key) or ()) for key in ('mean', 'std')},
        boxes='left, top, right, bottom in pixels of the input', test_cfg=model.test_cfg.to_dict(), nms=nms)
    priors = (model.rpn_head if two_stages else model.bbox_head).prior_generator
    stretched = hasattr(priors, 'input_size')
    size = image_size(priors, size, inputs.pad_size_divisor)
    described: dict[str, Any] = dict(input='images', shape=(3, *size), metadata=metadata, make_input=random_pixels,
                                     read=partial(read_image, model, size, stretched))
    if not nms:
        return Graph(Detector(model, size).eval(), outputs=('boxes', 'scores'), **described)
    network = TwoStages(model, size) if two_stages else OneStage(model, size)
    return Graph(Suppressed(model, network).eval(), outputs=('boxes', 'scores', 'labels'), **described,
                 compare=partial(detection_differences, side=max(size)),
                 tolerances=dict(boxes=PIXELS / max(size), scores=SCORE, labels=SHARE),
                 predict=partial(predict, model))


def image_size(priors: object, size: Sequence[int] | None, divisor: int = 1) -> tuple[int, int]:
    """The size (H, W) of a detector's images.

    Raises:
        UserError: neither the detector nor the user gives it, they differ, or mmdet would pad such images.
    """
    own = getattr(priors, 'input_size', None)
    if size is None:
        if own is None:
            raise UserError('--size: this detector takes images of any size, its ONNX file only of one; '
                            'give --size H W')
        return own, own
    height, width = size
    if own is not None and (height, width) != (own, own):
        raise UserError(f'--size {height} {width}: this detector takes {own} x {own}')
    if min(size) < 1 or height % divisor or width % divisor:
        raise UserError(f'--size {height} {width}: need multiples of {divisor}')
    return height, width


def read_image(detector: Any, size: Sequence[int], stretched: bool, path: Path) -> Tensor:
    """A picture for the file of a detector, float32 (1, 3, H, W).

    Args:
        detector: its mean is the colour of what the picture does not cover.
        size: (H, W).
        stretched: whether the picture is stretched to the size, as SSD's are; else it keeps its ratio, and is at the
            top left.
        path: the file.
    """
    picture = read_rgb(path)
    inputs = detector.data_preprocessor
    height, width = size
    scale = min(height / picture.shape[0], width / picture.shape[1])
    if not stretched:
        height, width = (max(1, round(side * scale)) for side in picture.shape[:2])
    picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)
    pixels = torch.from_numpy(picture if inputs._channel_conversion else picture[..., ::-1].copy()).permute(2, 0, 1)
    image = inputs.mean.expand(3, *size).clone() if inputs._enable_normalize else torch.zeros(3, *size)
    image[:, :height, :width] = pixels
    return image[None]


def predict(detector: Any, images: Tensor) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """The boxes, scores and labels of each image (N, 3, H, W) that mmdet itself predicts."""
    from mmdet.structures import DetDataSample

    inputs, size = detector.data_preprocessor, tuple(images.shape[-2:])
    samples = [DetDataSample(metainfo=dict(img_shape=size, ori_shape=size, scale_factor=(1., 1.))) for _ in images]
    batch = inputs(dict(inputs=list(images.flip(1) if inputs._channel_conversion else images), data_samples=samples))
    found = [sample.pred_instances for sample in detector.predict(batch['inputs'], batch['data_samples'],
                                                                  rescale=False)]
    return [one.bboxes for one in found], [one.scores for one in found], [one.labels for one in found]
