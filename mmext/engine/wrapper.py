"""Models in a data parallel wrapper."""

from __future__ import annotations

from torch import nn


def bare(model: nn.Module) -> nn.Module:
    """The model inside its data parallel wrapper."""
    return getattr(model, 'module', model)
