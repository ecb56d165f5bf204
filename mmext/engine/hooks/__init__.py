"""Hooks for reproducibility, finite numbers, checkpoints, precision, compilation, validation loss and progress."""

from mmext.engine.hooks.accumulation import AccumulationHook
from mmext.engine.hooks.checkpoint import CheckpointHook
from mmext.engine.hooks.compilation import CompileHook
from mmext.engine.hooks.ema import EMAHook
from mmext.engine.hooks.finite import FiniteLossHook
from mmext.engine.hooks.mean_log import MeanLogProcessor
from mmext.engine.hooks.precision import MemoryFormatHook, MixedPrecisionHook
from mmext.engine.hooks.progress import ProgressHook
from mmext.engine.hooks.reproducible import EpochSeedHook, seed_worker
from mmext.engine.hooks.unreadable import UnreadableFilesHook
from mmext.engine.hooks.val_loss import ValLossHook
from mmext.engine.runtime_info import RuntimeInfoHook

__all__ = ['AccumulationHook', 'CheckpointHook', 'CompileHook', 'EMAHook', 'EpochSeedHook', 'FiniteLossHook',
           'MeanLogProcessor', 'MemoryFormatHook', 'MixedPrecisionHook', 'ProgressHook', 'RuntimeInfoHook',
           'UnreadableFilesHook', 'ValLossHook', 'seed_worker']
