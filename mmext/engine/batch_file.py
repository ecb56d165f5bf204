"""Saves the batch on which a training has failed, for inspection."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from mmengine.structures import BaseDataElement
from torch import Tensor

from mmext.errors import DiskFull
from mmext.files import write_whole

BAD_BATCH = 'bad_batch.pth'


def names_of(batch: object) -> list[str]:
    """The file names of the images or videos in a batch, '?' where a sample does not record one."""
    if not isinstance(batch, Mapping):
        return []
    if 'names' in batch:
        return list(batch['names'])
    return [str(getattr(sample, 'img_path', None) or getattr(sample, 'filename', '?'))
            for sample in batch.get('data_samples') or ()]


def save_batch(path: Path, iteration: int, found: str, batch: object) -> str:
    """Saves a batch as dict(iteration, found, names, batch) of tensors and plain values.

    Args:
        path: the file, which ``torch.load(path, weights_only=True)`` can read.
        iteration: the number of the iteration.
        found: a description of the failure.
        batch: the batch as it came from the loader.

    Returns:
        The end of an error message: where the batch is or why it was not saved, and whether the data are the cause.
    """
    content = dict(iteration=iteration, found=found, names=names_of(batch), batch=plain(batch))
    bad = '; the batch itself contains numbers that are not finite, check the data and their transforms' if any(
        not value.isfinite().all() for value in tensors_in(content['batch'])) else ''
    try:
        write_whole(path, lambda temporary: torch.save(content, temporary))
    except (DiskFull, OSError) as error:
        return f'{bad}; the batch could not be saved ({getattr(error, "strerror", None) or "the disk is full"})'
    return f'{bad}; the batch is in {path}'


def plain(node: object) -> object:
    """Converts an object to tensors, numbers, text, lists and dicts; anything else becomes its ``repr``."""
    if isinstance(node, (Tensor, np.ndarray)):
        numbers = isinstance(node, Tensor) or node.dtype.kind in 'biufc'
        return torch.as_tensor(node).detach().cpu().clone() if numbers else repr(node)
    if isinstance(node, BaseDataElement):
        return {key: plain(value) for key, value in node.all_items()}
    if isinstance(node, Mapping):
        return {str(key): plain(value) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return [plain(value) for value in node]
    tensor = getattr(node, 'tensor', None)
    if isinstance(tensor, Tensor):  # mmdet's boxes
        return plain(tensor)
    if isinstance(node, np.generic):
        return node.item()
    return node if node is None or type(node) in (bool, int, float, str) else repr(node)


def tensors_in(node: object) -> list[Tensor]:
    """The floating-point tensors in a result of ``plain``."""
    if isinstance(node, Tensor):
        return [node] if node.is_floating_point() else []
    parts = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return [tensor for part in parts for tensor in tensors_in(part)]
