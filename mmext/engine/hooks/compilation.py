"""``torch.compile`` of the parts with constant shapes: the network, but not targets and losses."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

from mmext.engine.wrapper import unwrap_model
from mmext.errors import UserError
from mmext.registry import HOOKS

PARTS = ('backbone', 'neck', 'rpn_head', 'bbox_head')
CUDA_GRAPHS = ('reduce-overhead', 'max-autotune')  # the modes that record CUDA graphs


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
        getattr(model, name).compile(backend=backend, **mode_arguments(mode) if backend == 'inductor' else {})
    return found


def mode_arguments(mode: str) -> dict[str, Any]:
    """The arguments of ``torch.compile`` for a mode.

    A CUDA graph has constant shapes. A network whose images vary in size, as those of Faster R-CNN, would record a
    graph for each size, and keep the memory of all of them; such parts are compiled without CUDA graphs.
    """
    if mode not in CUDA_GRAPHS:
        return dict(mode=mode)
    return dict(options={**torch._inductor.list_mode_options(mode), 'triton.cudagraph_skip_dynamic_graphs': True})


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

    With CUDA graphs (``reduce-overhead`` and ``max-autotune``) only the training is compiled. The outputs of a graph
    are valid until another part starts a new run of graphs. With gradients, all parts of a step belong to one run, but
    without gradients each part starts its own, and frees what the part before has given it (pytorch issues 160281 and
    152887).

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

    def before_val(self, runner: Runner) -> None:
        if self.mode in CUDA_GRAPHS:
            torch.compiler.set_stance('force_eager')

    def after_val(self, runner: Runner) -> None:
        if self.mode in CUDA_GRAPHS:
            torch.compiler.set_stance('default')
