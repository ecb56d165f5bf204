"""The random generators of Python, numpy and torch: their states, and streams apart from them."""

from __future__ import annotations

import random
from typing import cast

import numpy as np
import torch


def seed_for(seed: int, *place: int) -> int:
    """A seed of 63 bits that is a function of a run's seed and of a place in it, such as (epoch, rank, batch)."""
    return int(np.random.SeedSequence(seed, spawn_key=place).generate_state(1, np.uint64)[0] >> np.uint64(1))


class Stream:
    """Random numbers of the processor that are apart from all others: those of a seed, from one use to the next.

    Args:
        seed: from 0.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.states: tuple | None = None

    def __enter__(self) -> None:
        self.outside = current()
        if self.states is None:
            random.seed(self.seed)
            np.random.seed(self.seed % 2**32)
            torch.default_generator.manual_seed(self.seed)
        else:
            put(self.states)

    def __exit__(self, *error: object) -> None:
        self.states = current()
        put(self.outside)


def current() -> tuple:
    return random.getstate(), np.random.get_state(), torch.default_generator.get_state()


def put(states: tuple) -> None:
    random.setstate(states[0])
    np.random.set_state(states[1])
    torch.default_generator.set_state(states[2])


def generator_states() -> dict:
    """The states of all generators of this process, as numbers and tensors, which a checkpoint can hold."""
    version, inner, gauss = random.getstate()
    kind, keys, place, has_gauss, cached = cast(tuple, np.random.get_state())
    states = dict(python=[version, torch.tensor(inner), gauss],
                  numpy=[kind, torch.from_numpy(keys.astype(np.int64)), place, has_gauss, cached],
                  torch=torch.default_generator.get_state())
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        states['cuda'] = torch.cuda.get_rng_state()
    return states


def restore_generators(states: dict) -> None:
    """Puts the generators of this process into states of ``generator_states``."""
    version, inner, gauss = states['python']
    kind, keys, place, has_gauss, cached = states['numpy']
    put(((version, tuple(inner.tolist()), gauss), (kind, keys.numpy().astype(np.uint32), place, has_gauss, cached),
         states['torch']))
    if 'cuda' in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states['cuda'])
