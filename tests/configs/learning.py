"""One real training step of a config's model."""

from __future__ import annotations

import re

import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from torch import nn

# What the first recursive bottleneck does to the state before it, which is zeros.
ALWAYS_ZERO = re.compile(r'backbone\.layer1\.0\.downsample2\.(0\.weight|1\.(weight|running_mean))')


def take_step(model: nn.Module, config: Config, batch: dict) -> None:
    """Trains with the config's losses and optimiser, but for weight decay, which would move what has no gradient.

    Every weight of the backbone and every mean of a norm must have changed, and the loss be a finite number.
    """
    wrapper = build_optim_wrapper(model, dict(config.optim_wrapper, optimizer=dict(
        config.optim_wrapper.optimizer, weight_decay=0)))
    learns = [key for key in model.state_dict() if key.startswith('backbone.') and not key.endswith('tracked')
              or key.endswith('running_mean')]
    before = {key: value.clone() for key, value in model.state_dict().items()}
    losses = model.train_step(batch, wrapper)
    assert losses['loss'].isfinite() and losses['loss'] > 0
    after = model.state_dict()
    still = [key for key in learns if torch.equal(after[key], before[key]) and not ALWAYS_ZERO.match(key)]
    assert learns and not still, still
