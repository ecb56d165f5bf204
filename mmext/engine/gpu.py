"""What a run on a GPU needs before it starts."""

from __future__ import annotations

import os

import torch
from mmengine.config import Config

from mmext.config_tree import LOADERS, kind_of

WORKSPACE = 'CUBLAS_WORKSPACE_CONFIG', ':4096:8'
IN_MEMORY = 'collate_images'  # the collate function of loaders of images in memory
WORKERS = 2  # of such a loader


def prepare_gpu(config: Config) -> None:
    """Prepares loaders and environment of a run on a GPU; without a GPU it changes nothing.

    Batches are copied from pinned memory, which a GPU reads by itself. Small images in memory are prepared by workers,
    so that the GPU need not wait for the main process, which is fast enough for a processor.

    With ``randomness.deterministic``, cuBLAS gets the workspace that its deterministic algorithms need; torch does not
    multiply matrices without it, and reads the variable when the GPU is first used. What the user has set is kept, in
    all cases.

    Args:
        config: changed in place.
    """
    if not torch.cuda.is_available():
        return
    for name in LOADERS:
        if isinstance(config.get(name), dict):
            config[name].setdefault('pin_memory', True)
            if kind_of(config[name].get('collate_fn') or {}) == IN_MEMORY:
                config[name].setdefault('num_workers', WORKERS)
    if (config.get('randomness') or {}).get('deterministic'):
        os.environ.setdefault(*WORKSPACE)
