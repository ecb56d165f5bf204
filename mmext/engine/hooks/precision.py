"""Hooks for mixed precision (parts that must stay in float32) and for the memory format of the weights."""

from __future__ import annotations

import re

import torch
from mmengine.hooks import Hook
from mmengine.optim import AmpOptimWrapper
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from mmext.backbones.memory_format import arrange_weights
from mmext.compat.torch import compute_narrow_maps_in_float32
from mmext.engine.precision import ProcessorAmpOptimWrapper
from mmext.engine.wrapper import unwrap_model
from mmext.registry import HOOKS

HEADS = re.compile(r'(?!backbone\.)(.*\.)?(rpn_head|bbox_head|mask_head|cls_head|head|fc)(\.\d+)?')
POOLING = re.compile(r'.*roi_extractor(\.\d+)?')


@HOOKS.register_module()
class MixedPrecisionHook(Hook):
    """Converts the inputs of losses, non-maximum suppression and RoI pooling to float32.

    Some of mmcv's kernels do not support bfloat16 on a GPU, and most do not support half precision on a CPU. Therefore
    the outputs of heads and the inputs of RoI extractors are converted.
    """

    def before_run(self, runner: Runner) -> None:
        prepare_for_mixed_precision(unwrap_model(runner.model))


def prepare_for_mixed_precision(model: nn.Module) -> None:
    """Has a model compute in float32 what must, under autocast; see ``MixedPrecisionHook``."""
    keep_float32(model)
    if next(model.parameters()).device.type == 'cpu':
        compute_narrow_maps_in_float32()


def keep_float32(model: nn.Module) -> None:
    """Registers the conversions of ``MixedPrecisionHook`` in a model; they do not affect float32 values."""
    for name, module in model.named_modules():
        if POOLING.fullmatch(name):
            module.register_forward_pre_hook(inputs_to_float32)
        elif HEADS.fullmatch(name):
            module.register_forward_hook(outputs_to_float32)


def inputs_to_float32(module: nn.Module, inputs: tuple) -> tuple:
    """A forward pre-hook that converts half-precision inputs to float32."""
    return tree_map(to_float32, inputs)


def outputs_to_float32(module: nn.Module, inputs: tuple, outputs: object) -> object:
    """A forward hook that converts half-precision outputs to float32."""
    return tree_map(to_float32, outputs)


def to_float32(value: object) -> object:
    """Converts a half-precision tensor to float32; returns anything else unchanged."""
    if isinstance(value, Tensor) and value.dtype in (torch.bfloat16, torch.float16):
        return value.float()
    return value


@HOOKS.register_module()
class MemoryFormatHook(Hook):
    """Converts the weights to a memory format before training or testing.

    This happens after their initialisation, because random numbers in another memory format would give other weights.

    Args:
        memory_format: see ``arrange_weights``.
    """

    def __init__(self, memory_format: str = 'auto') -> None:
        self.memory_format = memory_format

    def before_train(self, runner: Runner) -> None:
        model = unwrap_model(runner.model)
        half = isinstance(runner.optim_wrapper, (AmpOptimWrapper, ProcessorAmpOptimWrapper))
        taken = arrange_weights(model, self.memory_format, half)
        if model is not runner.model:
            # torch's DistributedDataParallel reduces gradients in buckets with the memory format that the weights had
            # when it was created; with another format its results are wrong.
            runner.model = runner.wrap_model(runner.cfg.get('model_wrapper_cfg'), model)
        runner.logger.info(f'Memory format of the weights: {taken}')

    def before_test(self, runner: Runner) -> None:
        arrange_weights(unwrap_model(runner.model), self.memory_format)
