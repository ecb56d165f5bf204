"""``--amp``: mixed precision on GPUs and CPUs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from torch import nn

from mmext.config_tree import add_hook
from mmext.errors import UserError
from mmext.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class ProcessorAmpOptimWrapper(OptimWrapper):
    """Mixed-precision training in bfloat16 on a CPU. mmengine's ``AmpOptimWrapper`` requires a GPU.

    Convolutions and linear layers compute in bfloat16 (torch's autocast); weights, gradients and the optimiser's state
    stay in float32. bfloat16 has the range of float32, so the loss is not scaled.

    Args:
        kwargs: the arguments of mmengine's ``OptimWrapper``.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        with super().optim_context(model), torch.autocast('cpu', torch.bfloat16):
            yield


def set_precision(config: Config, precision: str) -> None:
    """Sets up mixed precision with torch's autocast; weights, gradients and optimiser state stay in float32.

    Args:
        config: changed in place: it gets a mixed-precision optim wrapper and ``mmext.MixedPrecisionHook``.
        precision: 'fp16', with dynamic loss scaling so that small gradients do not underflow; 'bf16', which has the
            range of float32 and needs no scaling; 'auto' for fp16 on a GPU, bf16 on a CPU with bf16 instructions, and
            float32 on other CPUs.

    Raises:
        UserError: fp16 was requested without a GPU.
    """
    on_gpu = torch.cuda.is_available()
    if precision == 'auto':
        precision = 'fp16' if on_gpu else 'bf16' if has_bf16() else 'fp32'
    if precision == 'fp32':
        print('--amp auto: this CPU has no bf16 instructions, so training stays in fp32')
        return
    if on_gpu:
        scale, dtype = {'fp16': ('dynamic', 'float16'), 'bf16': (dict(enabled=False), 'bfloat16')}[precision]
        config.optim_wrapper.update(type='AmpOptimWrapper', loss_scale=scale, dtype=dtype)
    elif precision == 'fp16':
        raise UserError('--amp fp16: needs a GPU, and torch finds none; on a CPU use --amp bf16')
    else:
        if not has_bf16():
            print('--amp bf16: this CPU has no bf16 instructions, which makes it slower than fp32')
        config.optim_wrapper.type = 'mmext.ProcessorAmpOptimWrapper'
    add_hook(config, dict(type='mmext.MixedPrecisionHook'))


def has_bf16() -> bool:
    """Whether the CPU has bfloat16 instructions; without them torch emulates bfloat16, which is slow."""
    if hasattr(torch.cpu, 'get_capabilities'):
        return any(there for name, there in torch.cpu.get_capabilities().items() if name.endswith('bf16'))
    return torch.cpu._is_avx512_bf16_supported()  # torch < 2.11
