"""Repairs of how mmengine reads a checkpoint: what training wrote loads, and nothing in it is run."""

from __future__ import annotations

import importlib
import pickle
from collections.abc import Callable
from types import ModuleType
from typing import Any

from mmext.compat.notes import note


def allow_history_buffer_in_checkpoints(module: ModuleType) -> None:
    """'Weights only load failed' for every checkpoint that training wrote under torch >= 2.6.

    https://github.com/open-mmlab/mmengine/issues/1655. Training logs sit in the checkpoint as numpy scalars and
    HistoryBuffer, which names its own methods by getattr. These are allowed by name, and getattr for nothing else;
    ``weights_only`` stays on, so a downloaded file still can't run anything.
    """
    import numpy as np
    import torch

    if not hasattr(torch.serialization, 'get_unsafe_globals_in_checkpoint'):
        return  # torch < 2.6

    def method_of_history_buffer(owner: object, name: str) -> Callable:
        if owner is not module.HistoryBuffer or name.startswith('_'):
            raise pickle.UnpicklingError(f'getattr of {name!r} is allowed for HistoryBuffer alone')
        return getattr(owner, name)

    core = 'numpy._core' if hasattr(np, '_core') else 'numpy.core'
    multiarray = importlib.import_module(f'{core}.multiarray')
    dtypes = [type(np.dtype(code)) for code in ('f4', 'f8', 'i4', 'i8', 'b1')]
    torch.serialization.add_safe_globals([
        module.HistoryBuffer, (method_of_history_buffer, 'builtins.getattr'),
        multiarray._reconstruct, multiarray.scalar, np.ndarray, np.dtype, *dtypes])
    note(allow_history_buffer_in_checkpoints, 'checkpoints of training load with weights_only')


def keep_checkpoints_from_running_code(module: ModuleType) -> None:
    """'Falling back to weights_only=False': onedl-mmengine runs whatever code a checkpoint holds, after a warning.

    No issue of its own is known; ``_safe_torch_load`` of https://github.com/VBTI-development/onedl-mmengine. Torch's
    own default takes its place, as in mmengine.
    """
    import torch

    original = getattr(module, '_safe_torch_load', None)
    if original is None or 'UnpicklingError' not in original.__code__.co_names:
        return

    def load_without_fallback(file, map_location=None, weights_only: bool | None = None):
        return torch.load(file, map_location=map_location, weights_only=weights_only)

    vars(module)['_safe_torch_load'] = load_without_fallback
    note(keep_checkpoints_from_running_code, 'checkpoints with code in them are refused')


def keep_downloads_from_running_code(module: ModuleType) -> None:
    """A checkpoint given as a URL runs its pickle's code: torch.hub's default is ``weights_only=False``.

    No issue of its own is known; ``load_from_http`` of https://github.com/open-mmlab/mmengine. All of mmengine's own
    ways to a checkpoint lead to our reader, which runs nothing: so do mmdet's and mmaction2's. Schemes that a user has
    registered stay.
    """
    loader = module.CheckpointLoader
    own = [scheme for scheme, load in loader._schemes.items() if load.__module__ == module.__name__]
    if 'load_url' not in module.load_from_http.__code__.co_names:
        return

    def load_from_our_reader(filename: str, map_location: Any = None) -> dict:
        from mmext.checkpoints import read_checkpoint
        return read_checkpoint(filename, map_location or 'cpu')

    for function in ('load_from_http', 'load_from_local'):
        setattr(module, function, load_from_our_reader)
    loader.register_scheme(own, load_from_our_reader, force=True)
    note(keep_downloads_from_running_code, 'checkpoints of any origin are read without running them')


def keep_resume_from_running_code(module: ModuleType) -> None:
    """Resuming executes the config text that the checkpoint holds, which is Python, to look for 'gpu_ids' in it.

    No issue of its own is known; ``Runner.resume`` of https://github.com/open-mmlab/mmengine. The runner does not get
    to see the text; it has its own config.
    """
    runner = module.Runner
    if 'fromstring' not in runner.resume.__code__.co_names:
        return
    original = runner.load_checkpoint

    def load_checkpoint(self, *args, **kwargs):
        checkpoint = original(self, *args, **kwargs)
        checkpoint.get('meta', {}).pop('config', None)
        return checkpoint

    load_checkpoint.__doc__ = original.__doc__
    runner.load_checkpoint = load_checkpoint
    note(keep_resume_from_running_code, 'resuming runs no code of the checkpoint')
