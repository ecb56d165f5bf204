"""Randomness as a function of (seed, epoch, process), so that a resumed run draws what the uninterrupted one drew."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmext.registry import FUNCTIONS, HOOKS


def seed_everything(seed: int) -> None:
    """Seeds Python, numpy and torch."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


@FUNCTIONS.register_module()
def seed_worker(worker_id: int) -> None:
    """A loader's ``worker_init_fn``: torch gives each worker a seed anew every epoch; numpy and Python follow it."""
    seed = torch.initial_seed()
    random.seed(seed)
    np.random.seed(seed % 2**32)


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seeds everything at the start of each epoch, and the sampler's shuffling once.

    So an epoch does not depend on what was drawn before it, as by a validation. What transforms draw is a function of
    each batch (``engine.resume.batches``), and the generators' states go into checkpoints (``engine.resume.state``);
    with a loop of another's, this hook makes training exact that is resumed at an epoch, which needs
    ``worker_init_fn=dict(type='mmext.seed_worker')`` and loaders without persistent workers.
    """

    priority = 'VERY_HIGH'

    def before_train_epoch(self, runner: Runner) -> None:
        sampler: Any = runner.train_dataloader.sampler
        if hasattr(sampler, 'seed'):
            sampler.seed = runner.seed  # drawn before a resumed run's seed was known
        state = np.random.SeedSequence((runner.seed, runner.epoch, get_rank())).generate_state(1, np.uint64)
        seed_everything(int(state[0] >> np.uint64(1)))
