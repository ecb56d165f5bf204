"""Models in a data parallel wrapper."""

from __future__ import annotations

from torch import nn


def bare(model: nn.Module) -> nn.Module:
    """The model inside its data parallel wrapper."""
    return model.module if hasattr(model, 'module') else model
