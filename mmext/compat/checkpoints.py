"""Repairs of how mmengine reads checkpoints: those of a training load, and no code from them is run."""

from __future__ import annotations

import functools
import importlib
import pickle
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

from mmext.compat.notes import note


def allow_history_buffer_in_checkpoints(torch: ModuleType) -> None:
    """'Weights only load failed' for every checkpoint of a training under torch >= 2.6.

    https://github.com/open-mmlab/mmengine/issues/1655. A checkpoint contains the training logs as numpy scalars and
    HistoryBuffer, which refers to its own methods through getattr. These classes are allowed by name, and getattr is
    allowed for HistoryBuffer only. ``weights_only`` stays on, so a downloaded file still can't run code.


    Args:
        torch: the module, just imported; mmengine alone does not import it.
    """
    if not hasattr(torch.serialization, 'get_unsafe_globals_in_checkpoint'):
        return  # torch < 2.6
    try:
        from mmengine.logging.history_buffer import HistoryBuffer
    except ImportError:  # not installed, or broken, as whoever needs it will see
        return
    import numpy as np

    def method_of_history_buffer(owner: object, name: str) -> Callable:
        if owner is not HistoryBuffer or name.startswith('_'):
            raise pickle.UnpicklingError(f'getattr of {name!r} is allowed only for HistoryBuffer')
        return getattr(owner, name)

    core = 'numpy._core' if hasattr(np, '_core') else 'numpy.core'
    multiarray = importlib.import_module(f'{core}.multiarray')
    dtypes = [type(np.dtype(code)) for code in ('f4', 'f8', 'i4', 'i8', 'b1')]
    torch.serialization.add_safe_globals([
        HistoryBuffer, (method_of_history_buffer, 'builtins.getattr'),
        multiarray._reconstruct, multiarray.scalar, np.ndarray, np.dtype, *dtypes])
    note(allow_history_buffer_in_checkpoints, 'checkpoints of a training load with weights_only')


def keep_checkpoints_from_running_code(module: ModuleType) -> None:
    """'Falling back to weights_only=False': after a warning, onedl-mmengine runs any code that a checkpoint contains.

    No issue is known; see ``_safe_torch_load`` of https://github.com/VBTI-development/onedl-mmengine. The repair uses
    torch's default, as mmengine does.
    """
    import torch

    original = getattr(module, '_safe_torch_load', None)
    if original is None or 'UnpicklingError' not in original.__code__.co_names:
        return

    def load_without_fallback(file, map_location=None, weights_only: bool | None = None):
        return torch.load(file, map_location=map_location, weights_only=weights_only)

    vars(module)['_safe_torch_load'] = load_without_fallback
    note(keep_checkpoints_from_running_code, 'checkpoints that contain code are refused')


def keep_downloads_from_running_code(module: ModuleType) -> None:
    """A checkpoint given as a URL can run code, since torch.hub loads it with ``weights_only=False``.

    No issue is known; see ``load_from_http`` of https://github.com/open-mmlab/mmengine. All loaders of mmengine, and
    thereby those of mmdet and mmaction2, are redirected to our reader, which never runs code. URL schemes that a user
    has registered are left alone.
    """
    loader = module.CheckpointLoader
    own = [scheme for scheme, load in loader._schemes.items() if load.__module__ == module.__name__]
    if 'load_url' not in module.load_from_http.__code__.co_names:
        return

    def load_from_mmext(filename: str, map_location: Any = None) -> dict:
        from mmext.checkpoints import read_checkpoint
        return read_checkpoint(filename, map_location or 'cpu')

    for function in ('load_from_http', 'load_from_local'):
        setattr(module, function, load_from_mmext)
    loader.register_scheme(own, load_from_mmext, force=True)
    note(keep_downloads_from_running_code, 'checkpoints of any origin are read without running code')


def keep_resume_from_running_code(module: ModuleType) -> None:
    """Resuming executes the config text in the checkpoint, which is Python code, to search it for 'gpu_ids'.

    No issue is known; see ``Runner.resume`` of https://github.com/open-mmlab/mmengine. The repair removes the text from
    the loaded checkpoint; the runner has its own config.
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
    note(keep_resume_from_running_code, 'resuming runs no code from the checkpoint')


def resume_fp16_from_other_formats(module: ModuleType) -> None:
    """The source state dict is empty, where a training in bf16 is resumed in fp16.

    Its loss scaler was disabled and has saved nothing, which torch's GradScaler refuses to load. No issue is known. The
    new loss scaler then starts as in a new training.
    """
    wrapper = module.AmpOptimWrapper
    original = wrapper.load_state_dict
    probe = wrapper.__new__(wrapper)  # its __init__ requires a GPU
    probe.optimizer = SimpleNamespace(load_state_dict=lambda state: None)
    probe.loss_scaler = importlib.import_module('torch.amp').GradScaler('cpu')
    try:
        probe.load_state_dict(dict(loss_scaler={}))
        return
    except RuntimeError:
        pass

    @functools.wraps(original)
    def load_state_dict(self, state_dict: dict) -> None:
        if not state_dict.get('loss_scaler', True):
            state_dict = {key: value for key, value in state_dict.items() if key != 'loss_scaler'}
        original(self, state_dict)

    wrapper.load_state_dict = load_state_dict
    note(resume_fp16_from_other_formats, 'a training in bf16 can be resumed in fp16')
