"""Settings of all measurements of one run: device, number format, memory layout, threads, compilation."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from mmext.backbones.memory_format import arrange, arrange_weights
from mmext.benchmark.plan import NUMBER_FORMATS
from mmext.engine.hooks.compilation import compile_network
from mmext.errors import UserError

Model = TypeVar('Model', bound=nn.Module)
DTYPES: dict[str, torch.dtype] = dict(zip(
    NUMBER_FORMATS, (torch.float32, torch.float32, torch.float32, torch.bfloat16, torch.float16), strict=True))


@dataclass(frozen=True)
class Setup:
    """How models are run.

    Attributes:
        device: 'cpu' or 'cuda'.
        dtype: one of ``plan.NUMBER_FORMATS``. 'default' is what training without ``--amp`` takes: fp32, in which a GPU
            computes convolutions in TF32, and matrix products not. With bf16 and fp16, weights have that format in
            inference; in training they are fp32 and autocast is used, as by mmengine's AmpOptimWrapper.
        memory_format: one of ``plan.MEMORY_FORMATS``; channels_last means channels_last_3d for clips.
        compile: a mode of ``torch.compile``, or None for eager execution. For inference the whole model is compiled,
            for training only its network, as by ``mmext train --compile``.
        threads: number of threads on a processor; None leaves it to torch.
        predict: inference includes predictions (of a detector: non-maximum suppression).
        cudnn_benchmark: let cuDNN choose the fastest algorithm for each new shape.
    """

    device: str = 'cpu'
    dtype: str = 'fp32'
    memory_format: str = 'contiguous'
    compile: str | None = None
    threads: int | None = None
    predict: bool = False
    cudnn_benchmark: bool = True

    @property
    def half(self) -> bool:
        """Whether the number format has 16 bits."""
        return self.dtype in ('bf16', 'fp16')

    def check(self) -> None:
        """Raises a UserError if this machine does not have the device or the number format."""
        if self.threads is not None and self.threads < 1:
            raise UserError(f'--threads {self.threads}: need 1 or more')
        if self.device == 'cuda' and not torch.cuda.is_available():
            raise UserError('--device cuda: torch finds no GPU; python -m mmext.doctor says more')
        if self.device == 'cpu' and self.dtype in ('tf32', 'fp16'):
            raise UserError(f'--dtype {self.dtype}: not on a processor; use fp32 or bf16, or --device cuda')
        if self.device == 'cuda' and self.dtype in ('tf32', 'bf16') and torch.cuda.get_device_capability() < (8, 0):
            raise UserError(f'--dtype {self.dtype}: {torch.cuda.get_device_name()} does not compute in it; use fp32 or '
                            'fp16')

    def apply(self) -> None:
        """Changes torch's global settings accordingly."""
        if self.threads:
            torch.set_num_threads(self.threads)
        torch.backends.cuda.matmul.allow_tf32 = self.dtype == 'tf32'
        torch.backends.cudnn.allow_tf32 = self.dtype in ('tf32', 'default')
        torch.backends.cudnn.benchmark = self.cudnn_benchmark

    def autocast(self) -> AbstractContextManager:
        """The context in which a forward pass runs: autocast for formats of 16 bits."""
        return torch.autocast(self.device, DTYPES[self.dtype]) if self.half else nullcontext()

    def place(self, model: Model) -> Model:
        """Moves a model to the device and puts its weights into the memory format."""
        model.to(self.device)
        arrange_weights(model, self.memory_format)
        return model

    def arrange(self, tensor: Tensor) -> Tensor:
        """The tensor in the memory format, see ``mmext.backbones.memory_format.arrange``."""
        return arrange(tensor, self.memory_format)

    def compiled(self, model: Model, training: bool = False) -> Model:
        """Compiles a model in place, with a graph for each shape; for training only its network. Returns the model."""
        if not self.compile:
            return model
        for name in ('recompile_limit', 'cache_size_limit'):  # of torch >= 2.7, and before
            if hasattr(torch._dynamo.config, name):
                setattr(torch._dynamo.config, name, 1000)
        if training:
            compile_network(model, self.compile)
        else:
            model.forward = torch.compile(model.forward, mode=self.compile, dynamic=False)
        return model

    def synchronize(self) -> None:
        """Waits until the device has finished its work."""
        if self.device == 'cuda':
            torch.cuda.synchronize()


def out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch means that a GPU or the processor is out of memory."""
    text = str(error)
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or (
        isinstance(error, RuntimeError) and ("can't allocate memory" in text or 'not enough memory' in text))
