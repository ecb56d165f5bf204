"""The random generators of Python, numpy and torch: saving and restoring their states, and separate streams."""

from __future__ import annotations

import random
from typing import cast

import numpy as np
import torch


def seed_for(seed: int, *place: int) -> int:
    """Derives a 63-bit seed from the seed of a run and a position in it, such as (epoch, rank, batch)."""
    return int(np.random.SeedSequence(seed, spawn_key=place).generate_state(1, np.uint64)[0] >> np.uint64(1))


class Stream:
    """A context in which the CPU generators follow a random stream of their own.

    The stream starts with the seed and continues from one use of the context to the next. On exit, the generators are
    set back to their states before it.

    Args:
        seed: a non-negative integer.
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
    """The states of the CPU generators of Python, numpy and torch."""
    return random.getstate(), np.random.get_state(), torch.default_generator.get_state()


def put(states: tuple) -> None:
    """Sets the CPU generators to states returned by ``current``."""
    random.setstate(states[0])
    np.random.set_state(states[1])
    torch.default_generator.set_state(states[2])


def generator_states() -> dict:
    """The states of all generators of this process, as numbers and tensors that a checkpoint can hold."""
    version, inner, gauss = random.getstate()
    kind, keys, place, has_gauss, cached = cast(tuple, np.random.get_state())
    states = dict(python=[version, torch.tensor(inner), gauss],
                  numpy=[kind, torch.from_numpy(keys.astype(np.int64)), place, has_gauss, cached],
                  torch=torch.default_generator.get_state())
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        states['cuda'] = torch.cuda.get_rng_state()
    return states


def restore_generators(states: dict) -> None:
    """Sets the generators of this process to states returned by ``generator_states``."""
    version, inner, gauss = states['python']
    kind, keys, place, has_gauss, cached = states['numpy']
    put(((version, tuple(inner.tolist()), gauss), (kind, keys.numpy().astype(np.uint32), place, has_gauss, cached),
         states['torch']))
    if 'cuda' in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states['cuda'])
