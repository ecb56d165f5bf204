"""The compiled operators of detection on the device, beside the same on the processor."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from benchmarks.gpu_check.case import Case, Failed, Figures, Place, Skipped, one_line, require
from mmext.compat import installed
from mmext.operators import built_for_cuda

DTYPES = {'fp32': torch.float32, 'fp16': torch.float16, 'bf16': torch.bfloat16}
ROUNDING = {'fp32': 1e-4, 'fp16': 0.04, 'bf16': 0.2}  # relative to the largest value; gradients are sums of many
BOXES, SIZE = 1000, 300


def boxes(count: int) -> Tensor:
    """Boxes (count, 4) in an image of ``SIZE`` pixels, the same ones at every call."""
    generator = torch.Generator().manual_seed(0)
    corner, side = torch.rand(2, count, 2, generator=generator).mul(SIZE / 2).unbind()
    return torch.cat([corner, corner + side + 8], 1)


def nms(library: str, device: str, dtype: torch.dtype) -> list[Tensor]:
    """The indices that are kept at an IoU of 0.5. Scores differ by more than the rounding of 16 bits only in fp32."""
    corners = boxes(BOXES).to(device, dtype)
    scores = torch.linspace(1, 0, BOXES).to(device, dtype)
    if library == 'torchvision':
        from torchvision.ops import nms
        return [nms(corners, scores, 0.5).float()]
    from mmcv.ops import batched_nms
    _, kept = batched_nms(corners, scores, torch.zeros(BOXES, dtype=torch.long, device=device),
                          dict(type='nms', iou_threshold=0.5))
    return [kept.float()]


def roi_align(library: str, device: str, dtype: torch.dtype) -> list[Tensor]:
    """Pooled features of some boxes, and the gradient of the feature map."""
    features = torch.randn(1, 8, 38, 38, generator=torch.Generator().manual_seed(1)).to(device, dtype)
    features = features.to(memory_format=torch.channels_last).requires_grad_()
    rois = torch.cat([torch.zeros(64, 1), boxes(64).mul(0.8).div(4).round().mul(4)], 1).to(device, dtype)  # exact
    if library == 'torchvision':
        from torchvision.ops import roi_align
        pooled = roi_align(features, rois, 7, 1 / 8, 0, True)
    else:
        from mmcv.ops import roi_align
        pooled = roi_align(features, rois, 7, 1 / 8, 0, 'avg', True)
    gradient, = torch.autograd.grad(pooled.float().square().sum(), features)
    return [pooled.detach(), gradient]


def focal_loss(library: str, device: str, dtype: torch.dtype) -> list[Tensor]:
    """The loss of mmdet's FocalLoss, which takes mmcv's kernel on a GPU, and the gradient of the scores."""
    generator = torch.Generator().manual_seed(2)
    scores = torch.randn(500, 80, generator=generator).to(device, dtype).requires_grad_()
    labels = torch.randint(0, 81, (500, ), generator=generator).to(device)
    if library == 'torchvision':
        from torchvision.ops import sigmoid_focal_loss
        truth = torch.nn.functional.one_hot(labels, 81)[:, :80].to(scores.dtype)
        loss = sigmoid_focal_loss(scores, truth, reduction='sum')
    else:
        from mmdet.models.losses import FocalLoss
        loss = FocalLoss(reduction='sum')(scores, labels)
    gradient, = torch.autograd.grad(loss, scores)
    return [loss.detach(), gradient]


OPERATORS: dict[str, Callable[..., list[Tensor]]] = dict(nms=nms, roi_align=roi_align, focal_loss=focal_loss)
FORMATS = dict(nms=('fp32', ), roi_align=tuple(DTYPES), focal_loss=tuple(DTYPES))  # nms: scores of 16 bits have ties


def check(library: str, name: str, place: Place) -> Figures:
    """Compares an operator with that on the processor in fp32, forward and backward, in each number format.

    An operator may refuse a format, because mmext hands it float32 in mixed precision (``MixedPrecisionHook``); what it
    computes must be right.
    """
    if library == 'torchvision' and not installed('torchvision'):
        raise Skipped('torchvision is not installed')
    if library == 'mmcv' and place.device == 'cuda':
        require(built_for_cuda(), 'mmcv was built without CUDA operators')
    operator = OPERATORS[name]
    expected = operator(library, 'cpu', torch.float32)
    figures: dict[str, object] = {}
    for kind in FORMATS[name]:
        try:
            found = operator(library, place.device, DTYPES[kind])
        except RuntimeError as error:
            if kind == 'fp32' or 'CUDA error' in str(error):
                raise
            figures[kind] = f'refused ({one_line(error)[:80]})'
            continue
        worst = max(map(difference, found, expected))
        figures[kind] = worst
        if not worst <= ROUNDING[kind]:
            raise Failed(f'{kind} differs from the processor in fp32 by {worst:.2g} of the largest value')
    return figures


def difference(found: Tensor, expected: Tensor) -> float:
    """The largest difference, relative to the largest value; infinite if the shapes differ."""
    if found.shape != expected.shape:
        return float('inf')
    return float((found.float().cpu() - expected).abs().max() / expected.abs().max().clamp(min=1e-12))


CASES = [Case('correctness', f'{name} of {library}', partial(check, library, name), seconds=3, limit=120)
         for library in ('mmcv', 'torchvision') for name in OPERATORS]
