"""ResNet Init (Targ et al., section 3): a layer of two streams whose residual half starts as the identity.

The first half of the channels is the residual stream, the second the transient one. One dense layer with the weights W
holds both streams and all connections between them; ResNet Init adds 1 to W at the centre tap, on the first half of the
diagonal. The layers here keep V = W - identity as their parameter and compute with V + identity. So every initialiser
does its ordinary work on V, and weight decay, of whichever optimiser, draws W to the identity and not to zero.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmext.errors import UserError


class HalfIdentity(nn.Module):
    """What makes a linear or convolutional layer one of ResNet Init: ``weight`` is W less the identity.

    Raises:
        UserError: an odd number of channels, which two streams can't share, or groups, which keep them apart.
    """

    weight: Tensor
    identity: Tensor

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        if getattr(self, 'groups', 1) != 1:
            raise UserError(f'ResNet Init has no groups, and {self.groups} are asked for')
        self.register_buffer('identity', half_identity(self.weight), persistent=False)

    def _apply(self, fn: Callable, recurse: bool = True) -> HalfIdentity:
        """Moves and casts as ``nn.Module`` does. ``to_empty`` comes this way too and would leave garbage."""
        super()._apply(fn, recurse)
        self.identity = half_identity(self.weight)
        return self

    def _load_from_state_dict(self, *args, **kwargs) -> None:
        """Loads as ``nn.Module`` does; with ``assign=True`` the weight may come to another device or type."""
        super()._load_from_state_dict(*args, **kwargs)
        if (self.identity.device, self.identity.dtype) != (self.weight.device, self.weight.dtype):
            self.identity = half_identity(self.weight)

    @property
    def full_weight(self) -> Tensor:
        """W, as the paper writes it."""
        return self.weight + self.identity


class HalfIdentityLinear(HalfIdentity, nn.Linear):
    """A fully connected layer of ResNet Init."""

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.full_weight, self.bias)


class HalfIdentityConv2d(HalfIdentity, nn.Conv2d):
    """A 2D convolution of ResNet Init."""

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, self.full_weight, self.bias)


class HalfIdentityConv3d(HalfIdentity, nn.Conv3d):
    """A 3D convolution of ResNet Init."""

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, self.full_weight, self.bias)


def half_identity(weight: Tensor) -> Tensor:
    """Zeros of the weight's shape (out, in, ...), and 1 at the centre tap on the first half of the diagonal.

    Where the layer widens, the first in / 2 channels of the residual stream carry on and its new ones start at zero.
    """
    channels = weight.shape[:2]
    if channels[0] % 2 or channels[1] % 2:
        raise UserError(f'ResNet Init from {channels[1]} to {channels[0]} channels: two streams need an even number')
    identity = torch.zeros_like(weight, requires_grad=False)
    centre = tuple(size // 2 for size in weight.shape[2:])
    identity[(slice(None), slice(None), *centre)].diagonal()[:min(channels) // 2].fill_(1)
    return identity
