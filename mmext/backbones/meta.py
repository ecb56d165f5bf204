"""Modules without memory, whose shapes and numbers of parameters are wanted and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

RANDOM = {Tensor.normal_, Tensor.uniform_}


class NoRandomNumbers(TorchFunctionMode):
    """Leaves tensors without memory as they are where they would be filled with random numbers.

    torch draws these for such a tensor in Python, and imports its compiler for that, which takes seconds.
    """

    def __torch_function__(self, func: Callable, types: Sequence[type], args: tuple = (),
                           kwargs: Mapping[str, object] | None = None) -> object:
        if func in RANDOM and args and args[0].is_meta:
            return args[0]
        return func(*args, **(kwargs or {}))


@contextmanager
def on_meta() -> Iterator[None]:
    """What is built within is on torch's meta device: it has shapes, and neither memory nor weights."""
    with torch.device('meta'), NoRandomNumbers():
        yield
