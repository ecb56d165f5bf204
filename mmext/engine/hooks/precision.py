"""What mixed precision must leave in float32, and the memory format of the weights."""

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
from mmext.engine.wrapper import bare
from mmext.registry import HOOKS

HEADS = re.compile(r'(?!backbone\.)(.*\.)?(rpn_head|bbox_head|mask_head|cls_head|head|fc)(\.\d+)?')
POOLING = re.compile(r'.*roi_extractor(\.\d+)?')


@HOOKS.register_module()
class MixedPrecisionHook(Hook):
    """Hands float32 to what does not compute in less: losses, non-maximum suppression, the pooling of regions.

    Some of mmcv's kernels know no bfloat16 on a GPU, and most know no half precision on a processor. So the outputs of
    heads, and the maps and regions that are pooled, are converted.
    """

    def before_run(self, runner: Runner) -> None:
        model = bare(runner.model)
        keep_float32(model)
        if next(model.parameters()).device.type == 'cpu':
            compute_narrow_maps_in_float32()


def keep_float32(model: nn.Module) -> None:
    """Gives a model the conversions of ``MixedPrecisionHook``, which do nothing to float32."""
    for name, module in model.named_modules():
        if POOLING.fullmatch(name):
            module.register_forward_pre_hook(inputs_to_float32)
        elif HEADS.fullmatch(name):
            module.register_forward_hook(outputs_to_float32)


def inputs_to_float32(module: nn.Module, inputs: tuple) -> tuple:
    return tree_map(to_float32, inputs)


def outputs_to_float32(module: nn.Module, inputs: tuple, outputs: object) -> object:
    return tree_map(to_float32, outputs)


def to_float32(value: object) -> object:
    if isinstance(value, Tensor) and value.dtype in (torch.bfloat16, torch.float16):
        return value.float()
    return value


@HOOKS.register_module()
class MemoryFormatHook(Hook):
    """Puts the weights into a memory format before training or testing.

    They are there by then: random numbers drawn into another format would make other initial weights.

    Args:
        memory_format: see ``arrange_weights``.
    """

    def __init__(self, memory_format: str = 'auto') -> None:
        self.memory_format = memory_format

    def before_train(self, runner: Runner) -> None:
        model = bare(runner.model)
        half = isinstance(runner.optim_wrapper, (AmpOptimWrapper, ProcessorAmpOptimWrapper))
        taken = arrange_weights(model, self.memory_format, half)
        if model is not runner.model:
            # torch's DistributedDataParallel sums gradients in buckets that have the format which the weights had when
            # it was made; with others in them it computes nonsense.
            runner.model = runner.wrap_model(runner.cfg.get('model_wrapper_cfg'), model)
        runner.logger.info(f'Memory format of the weights: {taken}')

    def before_test(self, runner: Runner) -> None:
        arrange_weights(bare(runner.model), self.memory_format)
