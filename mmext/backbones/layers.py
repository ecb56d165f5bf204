"""Convolution, norm and pooling layers for 2D and 3D. No other file depends on the number of dimensions.

A size (kernel or stride) is an int, the same in every dimension, or a pair (temporal, spatial). In 2D the temporal part
of a pair is ignored, so one description of a network works for both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Union

import torch.nn.functional as F
from mmcv.cnn import build_norm_layer
from torch import Tensor, nn

from mmext.backbones.half_identity import HalfIdentityConv2d, HalfIdentityConv3d
from mmext.errors import UserError

Size = Union[int, tuple[int, int]]
# What the constructors of norm layers raise for arguments that they do not accept.
BUILD_ERRORS = (LookupError, AssertionError, TypeError, ValueError, RuntimeError, AttributeError, ArithmeticError)
CONVOLUTIONS = {2: (nn.Conv2d, HalfIdentityConv2d), 3: (nn.Conv3d, HalfIdentityConv3d)}


def is_number(value: object) -> bool:
    """Whether a value is an int or a float. True and False do not count as numbers."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def spatial(size: Size) -> int:
    """The spatial part of a size."""
    return size if isinstance(size, int) else size[1]


def temporal(size: Size) -> int:
    """The temporal part of a size."""
    return size if isinstance(size, int) else size[0]


class ReLU(nn.Module):
    """ReLU that works in place by default; a call can turn that off if its input is still needed."""

    def forward(self, x: Tensor, inplace: bool = True) -> Tensor:
        """A tensor of any shape -> max(x, 0), of the same shape."""
        return F.relu(x, inplace=inplace)


class Layers:
    """Factory for the layers of one network.

    Args:
        dims: 2 for images (N, C, H, W), 3 for clips (N, C, T, H, W).
        norm_cfg: Norm layer in the form of OpenMMLab's configs: the type BN, SyncBN or GN (with ``num_groups``), and
            optionally ``requires_grad``, ``eps`` and ``momentum``. In 3D, BN means BatchNorm3d.
        conv_bias: Whether convolutions have a bias by default.
        temporal_kernel: In 3D, the temporal length of kernels whose size is given as one number above 1; odd.

    Raises:
        UserError: ``dims`` is neither 2 nor 3, or ``norm_cfg`` has no type.
    """

    def __init__(self, dims: int = 2, norm_cfg: dict | None = None, conv_bias: bool = False,
                 temporal_kernel: int = 3) -> None:
        if type(dims) is not int or dims not in (2, 3):
            raise UserError(f'dims={dims!r}: a backbone has 2 dimensions (images) or 3 (clips)')
        self.dims = dims
        self.conv_bias = conv_bias
        self.temporal_kernel = temporal_kernel
        if not isinstance(norm_cfg, (Mapping, type(None))):
            raise UserError(f"norm_cfg={norm_cfg!r}: need a dict, for example norm_cfg=dict(type='BN')")
        self.norm_cfg = dict(type='BN') if norm_cfg is None else dict(norm_cfg)
        if not isinstance(self.norm_cfg.get('type'), (str, type)):
            raise UserError(f'norm_cfg={norm_cfg!r} has no type; write for example norm_cfg=dict(type=\'BN\')')
        if dims == 3 and self.norm_cfg['type'] == 'BN':
            self.norm_cfg['type'] = 'BN3d'

    def extent(self, size: Size) -> tuple[int, ...]:
        """Converts a size to one number per dimension."""
        return (temporal(size), spatial(size), spatial(size))[3 - self.dims:]

    def with_temporal_kernel(self, temporal_kernel: int) -> Layers:
        """A copy of this factory with another temporal kernel length."""
        return Layers(self.dims, self.norm_cfg, self.conv_bias, temporal_kernel)

    def conv(self, in_channels: int, out_channels: int, kernel: Size, stride: Size = 1, *, dilation: int = 1,
             groups: int = 1, bias: bool | None = None, padded: bool = True,
             half_identity: bool = False) -> nn.Module:
        """A convolution, padded so that stride 1 preserves the size of the feature map.

        Args:
            in_channels: Number of input channels.
            out_channels: Number of output channels.
            kernel: Odd kernel size.
            stride: Stride.
            dilation: Spatial dilation.
            groups: Number of groups.
            bias: Whether there is a bias; by default ``conv_bias``.
            padded: False leaves the spatial padding out.
            half_identity: Whether it is a convolution of ResNet Init (see ``half_identity``).
        """
        if isinstance(kernel, int) and kernel > 1:
            kernel = (self.temporal_kernel, kernel)
        kernels = self.extent(kernel)
        dilations = self.extent((1, dilation))
        paddings = tuple(d * (k - 1) // 2 for k, d in zip(kernels, dilations))
        if not padded:
            paddings = (*paddings[:-2], 0, 0)
        conv = CONVOLUTIONS[self.dims][half_identity]
        return conv(in_channels, out_channels, kernels, self.extent(stride), paddings, dilations, groups,
                    self.conv_bias if bias is None else bias)

    def norm(self, channels: int) -> nn.Module:
        """Builds the norm layer of ``norm_cfg``. Raises UserError if that does not work for this many channels."""
        try:
            layer = build_norm_layer(self.norm_cfg, channels)[1]
            problem = self.norm_problem(layer)
        except BUILD_ERRORS as error:
            problem = ' '.join(str(error).split()) or 'an argument is missing'
        if problem:
            raise UserError(f"norm_cfg={self.norm_cfg}: can't make a norm layer for {channels} channels ({problem})")
        return layer

    def norm_problem(self, layer: nn.Module) -> str | None:
        """Why a layer can't normalise feature maps of these dimensions, or None if it can."""
        other = {dims: tuple(getattr(nn, f'{kind}Norm{dims}d') for kind in ('Batch', 'Instance')) for dims in (1, 2, 3)}
        unfit = tuple(cls for dims, classes in other.items() for cls in classes if dims != self.dims)
        if isinstance(layer, (*unfit, nn.LayerNorm)) or not any(word in type(layer).__name__.lower()
                                                                for word in ('norm', 'bn')):
            return f'{type(layer).__name__} is not supported; use BN, SyncBN, GN or IN{self.dims}d'
        eps, momentum = getattr(layer, 'eps', 1e-5), getattr(layer, 'momentum', None)
        if not is_number(eps) or not 0 <= eps < 1:
            return f'eps={eps!r} is not a number from 0 to 1'
        if momentum is not None and (not is_number(momentum) or not 0 <= momentum <= 1):
            return f'momentum={momentum!r} is not a number from 0 to 1'
        return None

    def relu(self) -> ReLU:
        """The activation function."""
        return ReLU()

    def max_pool(self, kernel: Size, stride: Size) -> nn.Module:
        """A max-pool with a padding of half its kernel."""
        if self.dims == 2:
            return nn.MaxPool2d(spatial(kernel), spatial(stride), spatial(kernel) // 2)
        kernels = self.extent(kernel)
        return nn.MaxPool3d(kernels, self.extent(stride), tuple(k // 2 for k in kernels))

    def mean_pool(self, stride: Size) -> nn.Module:
        """An average pool of the windows that the stride sets apart; those at the edge are smaller where they must."""
        if self.dims == 2:
            return nn.AvgPool2d(spatial(stride), ceil_mode=True, count_include_pad=False)
        size = (temporal(stride), spatial(stride), spatial(stride))
        return nn.AvgPool3d(size, ceil_mode=True, count_include_pad=False)

    def global_pool(self) -> nn.Module:
        """Global average pooling: (N, C, [T,] H, W) -> (N, C, [1,] 1, 1)."""
        return nn.AdaptiveAvgPool2d((1, 1)) if self.dims == 2 else nn.AdaptiveAvgPool3d((1, 1, 1))
