"""mmcv's compiled operators (non-maximum suppression, RoI pooling, focal loss): whether they run on a GPU."""

from __future__ import annotations

import torch

from mmext.errors import UserError

REMEDY = 'MMCV_OPS=cuda python tools/build_mmcv.py --build-dir build, where there is an nvcc, or use the CPU with ' \
    'CUDA_VISIBLE_DEVICES='


def built_for_cuda() -> bool:
    """Whether mmcv was compiled with CUDA operators."""
    from mmcv.ops import get_compiling_cuda_version
    return get_compiling_cuda_version() != 'not available'


def require_operators(device: torch.device) -> None:
    """Raises a UserError if mmcv has no operators for a device; a detector would fail at its first validation."""
    if device.type == 'cuda' and not built_for_cuda():
        raise UserError('mmcv was built without CUDA operators, so a detector cannot run on this GPU; build mmcv with '
                        + REMEDY)
