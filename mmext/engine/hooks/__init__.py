"""Hooks that keep a run reproducible, finite and honest, and show how far it is."""

from mmext.engine.hooks.finite_loss import FiniteLossHook
from mmext.engine.hooks.progress import ProgressHook
from mmext.engine.hooks.reproducible import EpochSeedHook, seed_worker
from mmext.engine.hooks.unreadable import UnreadableFilesHook

__all__ = ['EpochSeedHook', 'FiniteLossHook', 'ProgressHook', 'UnreadableFilesHook', 'seed_worker']
