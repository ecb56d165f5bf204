"""ResNet Init (Targ et al., section 3): layers of two streams, of which the residual one is initialised to identity.

The first half of the channels is the residual stream, the second half the transient stream. One dense layer with the
weight W contains both streams and all connections between them. ResNet Init adds 1 to the centre tap of W on the first
half of the diagonal. The layers here store V = W - identity as their parameter and compute with V + identity. So any
initialiser can be applied to V as usual, and weight decay pulls W towards the identity instead of zero.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmext.errors import UserError


class HalfIdentity(nn.Module):
    """Mixin that turns a linear or convolutional layer into one of ResNet Init; ``weight`` is W minus the identity.

    Raises:
        UserError: The number of channels is odd, so two streams can't share it, or the layer has groups.
    """

    weight: Tensor
    identity: Tensor

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        if getattr(self, 'groups', 1) != 1:
            raise UserError(f'ResNet Init does not support groups, but {self.groups} are given')
        self.register_buffer('identity', half_identity(self.weight), persistent=False)

    def _apply(self, fn: Callable, recurse: bool = True) -> HalfIdentity:
        """Moves and casts as ``nn.Module`` does, then rebuilds the identity, which ``to_empty`` leaves uninitialised.
        """
        super()._apply(fn, recurse)
        self.identity = half_identity(self.weight)
        return self

    def _load_from_state_dict(self, *args, **kwargs) -> None:
        """Loads as ``nn.Module`` does; with ``assign=True`` the weight may change its device or dtype."""
        super()._load_from_state_dict(*args, **kwargs)
        if (self.identity.device, self.identity.dtype) != (self.weight.device, self.weight.dtype):
            self.identity = half_identity(self.weight)

    @property
    def full_weight(self) -> Tensor:
        """The weight W of the paper, of the same shape as ``weight``."""
        return self.weight + self.identity


class HalfIdentityLinear(HalfIdentity, nn.Linear):
    """A fully connected layer of ResNet Init."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_features) -> (N, out_features)."""
        return F.linear(x, self.full_weight, self.bias)


class HalfIdentityConv2d(HalfIdentity, nn.Conv2d):
    """A 2D convolution of ResNet Init."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H', W')."""
        return self._conv_forward(x, self.full_weight, self.bias)


class HalfIdentityConv3d(HalfIdentity, nn.Conv3d):
    """A 3D convolution of ResNet Init."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, T, H, W) -> (N, out_channels, T', H', W')."""
        return self._conv_forward(x, self.full_weight, self.bias)


def half_identity(weight: Tensor) -> Tensor:
    """The identity for a weight (out, in, ...): zeros, with 1 at the centre tap on the first half of the diagonal.

    If the layer has more output than input channels, the in / 2 channels of the residual stream are passed on, and its
    new channels start at zero.

    Raises:
        UserError: A number of channels is odd.
    """
    channels = weight.shape[:2]
    if channels[0] % 2 or channels[1] % 2:
        raise UserError(f'ResNet Init from {channels[1]} to {channels[0]} channels: two streams need an even number')
    identity = torch.zeros_like(weight, requires_grad=False)
    centre = tuple(size // 2 for size in weight.shape[2:])
    identity[(slice(None), slice(None), *centre)].diagonal()[:min(channels) // 2].fill_(1)
    return identity
