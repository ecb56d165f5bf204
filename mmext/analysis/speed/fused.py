"""How much quicker a model is once its batch norms are folded into convolutions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

from mmext.analysis.speed.setup import Setup
from mmext.analysis.speed.timing import clock_of, in_turn, ratio, seconds_mean

REPEATS = 7


def speed_up(plain: Callable[[], object], fused: Callable[[], object], repeats: int = REPEATS) -> dict[str, float]:
    """Time of the plain model over the fused one's, measured in turn, each once to warm up: median, min and max."""
    clock = clock_of(Setup(device='cuda' if torch.cuda.is_available() else 'cpu'))
    works = [partial(seconds_mean, call, clock, 1) for call in (plain, fused)]
    plains, fuseds = (turns[1:] for turns in in_turn(works, repeats + 1))
    return ratio(plains, fuseds)
