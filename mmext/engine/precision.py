"""``--amp``: mixed precision on a GPU and on a processor."""

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
    """Trains in bfloat16 on a processor, as mmengine's ``AmpOptimWrapper``, which insists on a GPU, does there.

    Convolutions and linear layers compute in bfloat16 (torch's autocast); weights, gradients and the optimiser's state
    stay in float32. bfloat16 has float32's range, so that the loss need not be scaled.

    Args:
        kwargs: of mmengine's ``OptimWrapper``.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        with super().optim_context(model), torch.autocast('cpu', torch.bfloat16):
            yield


def set_precision(config: Config, precision: str) -> None:
    """Mixed precision by torch's autocast; weights, gradients and optimiser stay in float32.

    Args:
        config: gets an optim wrapper of mixed precision, and ``mmext.MixedPrecisionHook``.
        precision: 'fp16', whose loss is scaled dynamically so that small gradients do not vanish; 'bf16', which has
            float32's range and needs no scaling; 'auto' for fp16 on a GPU, bf16 on a processor that has instructions
            for it, and float32 on others.

    Raises:
        UserError: fp16 without a GPU.
    """
    on_gpu = torch.cuda.is_available()
    if precision == 'auto':
        precision = 'fp16' if on_gpu else 'bf16' if has_bf16() else 'fp32'
    if precision == 'fp32':
        print('--amp auto: this processor has no instructions for bf16, so training stays in fp32')
        return
    if on_gpu:
        scale, dtype = {'fp16': ('dynamic', 'float16'), 'bf16': (dict(enabled=False), 'bfloat16')}[precision]
        config.optim_wrapper.update(type='AmpOptimWrapper', loss_scale=scale, dtype=dtype)
    elif precision == 'fp16':
        raise UserError('--amp fp16: needs a GPU, and torch sees none; on a processor use --amp bf16')
    else:
        if not has_bf16():
            print('--amp bf16: this processor has no instructions for bf16, which makes it slower than fp32')
        config.optim_wrapper.type = 'mmext.ProcessorAmpOptimWrapper'
    add_hook(config, dict(type='mmext.MixedPrecisionHook'))


def has_bf16() -> bool:
    """Whether the processor has instructions for bfloat16; without them torch emulates it, slowly."""
    if hasattr(torch.cpu, 'get_capabilities'):
        return any(there for name, there in torch.cpu.get_capabilities().items() if name.endswith('bf16'))
    return torch.cpu._is_avx512_bf16_supported()  # torch < 2.11
