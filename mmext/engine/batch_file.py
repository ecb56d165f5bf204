"""A batch as a file, for a look at what a training stopped on."""

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
    """The images or videos of a loader's batch, as far as its samples tell."""
    if not isinstance(batch, Mapping):
        return []
    if 'names' in batch:
        return list(batch['names'])
    return [str(getattr(sample, 'img_path', None) or getattr(sample, 'filename', '?'))
            for sample in batch.get('data_samples') or ()]


def keep_batch(path: Path, iteration: int, found: str, batch: object) -> str:
    """Saves a batch: dict(iteration, found, names, batch) of tensors and plain values.

    Args:
        path: of the file, which ``torch.load(path, weights_only=True)`` reads.
        iteration: that had it.
        found: what was wrong.
        batch: as it came from the loader.

    Returns:
        How a message goes on: where the batch is, or why it is nowhere, and whether the data are the cause.
    """
    content = dict(iteration=iteration, found=found, names=names_of(batch), batch=plain(batch))
    bad = '; numbers of the batch itself are not finite, see to the data and their transforms' if any(
        not value.isfinite().all() for value in tensors_in(content['batch'])) else ''
    try:
        write_whole(path, lambda temporary: torch.save(content, temporary), durable=True)
    except (DiskFull, OSError) as error:
        return f'{bad}; the batch could not be saved ({getattr(error, "strerror", None) or "the disk is full"})'
    return f'{bad}; the batch is in {path}'


def plain(node: object) -> object:
    """Tensors, numbers, text, lists and dicts in place of what holds them; anything else as text."""
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
    """The tensors of floating point in what ``plain`` gives."""
    if isinstance(node, Tensor):
        return [node] if node.is_floating_point() else []
    parts = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return [tensor for part in parts for tensor in tensors_in(part)]
