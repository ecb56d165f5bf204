"""Data parallel wrappers of models."""

from __future__ import annotations

from torch import nn


def unwrap_model(model: nn.Module) -> nn.Module:
    """The model inside a data parallel wrapper; the model itself if it has none."""
    return getattr(model, 'module', model)
