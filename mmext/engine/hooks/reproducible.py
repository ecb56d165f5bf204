"""Random numbers as a function of (seed, epoch, process), so that resumed and uninterrupted runs draw the same."""

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
    """A ``worker_init_fn`` that seeds Python and numpy with the seed that torch gives each worker in every epoch."""
    seed = torch.initial_seed()
    random.seed(seed)
    np.random.seed(seed % 2**32)


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seeds all generators at the start of each epoch, and the shuffling of the sampler.

    An epoch then does not depend on random numbers drawn before it, for example by a validation. With the loops of
    mmext, the random numbers of transforms depend on the batch only (``engine.resume.batches``), and checkpoints hold
    the states of the generators (``engine.resume.state``). With other loops, this hook makes resuming at an epoch
    exact, provided that loaders have ``worker_init_fn=dict(type='mmext.seed_worker')`` and no persistent workers.
    """

    priority = 'VERY_HIGH'

    def before_train_epoch(self, runner: Runner) -> None:
        sampler: Any = runner.train_dataloader.sampler
        if hasattr(sampler, 'seed'):
            sampler.seed = runner.seed  # the sampler was built before the seed of a resumed run was known
        state = np.random.SeedSequence((runner.seed, runner.epoch, get_rank())).generate_state(1, np.uint64)
        seed_everything(int(state[0] >> np.uint64(1)))
