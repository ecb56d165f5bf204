"""``torch.compile`` of the parts with constant shapes: the network, but not targets and losses."""

from __future__ import annotations

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

from mmext.engine.wrapper import unwrap_model
from mmext.errors import UserError
from mmext.registry import HOOKS

PARTS = ('backbone', 'neck', 'rpn_head', 'bbox_head')


def compile_network(model: nn.Module, mode: str = 'default', backend: str = 'inductor') -> list[str]:
    """Compiles a model's backbone, neck and dense head in place. Weights keep their names; copies are not compiled.

    mmengine's ``compile=True`` compiles the whole training step. For a detector this creates new graphs for different
    numbers of objects, each of which takes up to a minute on a CPU.

    Args:
        model: a classifier, recognizer or detector.
        mode: 'default', 'reduce-overhead' or 'max-autotune', see ``torch.compile``.
        backend: the backend of ``torch.compile``.

    Returns:
        The names of the parts, which are compiled when they are first called.

    Raises:
        UserError: the model has none of these parts.
    """
    found = [name for name in PARTS if isinstance(getattr(model, name, None), nn.Module)]
    if not found:
        raise UserError(f'--compile: {type(model).__name__} has no {", ".join(PARTS[:-1])} or {PARTS[-1]}')
    for name in found:
        getattr(model, name).compile(backend=backend, **dict(mode=mode) if backend == 'inductor' else {})
    return found


def require_compiler(device: torch.device) -> None:
    """Test-compiles a function for a device. Raises a UserError if that fails (no C++ compiler, no triton)."""
    try:
        torch.compile(lambda x: x.relu() + 1)(torch.ones(8, device=device))
    except RuntimeError as error:
        reason = ' '.join(str(error).split())[:300]
        raise UserError(f"--compile: torch can't compile for {device.type} here: {reason}") from None


@HOOKS.register_module()
class CompileHook(Hook):
    """Trains and validates with a compiled network, see ``compile_network``.

    Args:
        mode, backend: the arguments of ``compile_network``.

    Raises:
        UserError: before the training, if nothing can be compiled.
    """

    def __init__(self, mode: str = 'default', backend: str = 'inductor') -> None:
        self.mode = mode
        self.backend = backend

    def before_run(self, runner: Runner) -> None:
        model = unwrap_model(runner.model)
        if self.backend == 'inductor':
            require_compiler(next(model.parameters()).device)
        names = compile_network(model, self.mode, self.backend)
        runner.logger.info(f'These parts will be compiled at their first call, which takes minutes: {", ".join(names)}')
