"""Whether there is enough shared memory for the batches that the workers of a loader hand over.

Where there is not, a worker dies of a bus error in the middle of a run: Docker gives a container 64 MB.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import torch
from torch.utils._pytree import tree_leaves
from torch.utils.data import DataLoader

from mmext.engine.agreement import sample_count
from mmext.engine.batch import batch_size_of
from mmext.engine.resume.generators import Stream
from mmext.errors import UserError

FOLDER = '/dev/shm'
PLENTY = 8 * 2**30  # bytes; where so much is free, no sample is read to see how large it is


def require_shared_memory(loaders: Mapping[str, DataLoader]) -> None:
    """Compares the free shared memory with the batches that may wait in it.

    Args:
        loaders: 'train_dataloader' and others -> as they were built. Where little memory is free, a sample of each one
            with workers is read; the random generators stay as they are.

    Raises:
        UserError: there is too little.
    """
    free = free_bytes()
    if free is None or free >= PLENTY:
        return
    for name, loader in loaders.items():
        if not loader.num_workers or not sample_count(loader.dataset):
            continue
        with Stream(0):
            sample = tensor_bytes(loader.dataset[0])
        batch = batch_size_of(loader)
        need = loader.num_workers * (loader.prefetch_factor or 0) * batch * sample
        if need > free:
            raise UserError(
                f'{FOLDER}: {megabytes(free)} are free, and {name} may fill {megabytes(need)} ({loader.num_workers} '
                f'workers x {loader.prefetch_factor} batches x {batch} samples of {megabytes(sample)}); start the '
                f'container with docker run --shm-size={-(-2 * need // 2**30)}g, or lower {name}.num_workers')


def free_bytes() -> int | None:
    """Of shared memory; None where the system has no such folder."""
    try:
        found = os.statvfs(FOLDER)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


def tensor_bytes(sample: object) -> int:
    """Of the tensors of a sample, which travel through shared memory; everything else goes through a pipe."""
    return sum(leaf.numel() * leaf.element_size() for leaf in tree_leaves(sample) if isinstance(leaf, torch.Tensor))


def megabytes(size: int) -> str:
    """'94.4 MB'"""
    return f'{size / 1e6:,.1f} MB'
