"""Folding of batch norms into the convolutions around them, where that leaves the result unchanged.

In eval mode a batch norm computes y = s x + t for each channel. It can be folded exactly in three cases:

- A convolution precedes it, and nothing else reads the output of that convolution: the weights and bias are multiplied
  by s, and t is added to the bias.
- A sum of such convolutions precedes it (as before the last norm of a ResNet in ResNet block): each convolution is
  multiplied by s, and t is added to one of them.
- Convolutions follow it directly and are not padded. (With padding, the padded zeros would have to be t.)
"""

from __future__ import annotations

import operator
from collections import defaultdict

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils.fusion import fuse_conv_bn_weights

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
NORMS = (_NormBase, nn.GroupNorm, nn.LayerNorm)  # _NormBase covers batch and instance norms
ADDITIONS = (operator.add, operator.iadd, torch.add, 'add', 'add_')


class NotFoldable(Exception):
    """A norm can't be folded. The message says why, and continues the sentence 'these norms ...'."""


class NormFolder:
    """Folds the norms of one part of a model.

    Args:
        part: The module whose norms are folded, in place.
        graph: The graph of ``part``, traced by ``torch.fx``.
        shared: Modules that occur several times in the model, perhaps outside ``part``.
    """

    def __init__(self, part: nn.Module, graph: fx.Graph, shared: set[nn.Module]) -> None:
        self.part = part
        self.shared = shared
        self.calls: dict[str, list[fx.Node]] = defaultdict(list)
        self.read_as_attributes = {name_of(node).rpartition('.')[0] for node in graph.nodes if node.op == 'get_attr'}
        for node in graph.nodes:
            if node.op == 'call_module':
                self.calls[name_of(node)].append(node)

    def module(self, node: fx.Node) -> nn.Module | None:
        """The module that a node calls, or None if the node calls none."""
        return self.part.get_submodule(name_of(node)) if node.op == 'call_module' else None

    def convolution(self, name: str) -> _ConvNd:
        """The convolution of this name."""
        conv = self.part.get_submodule(name)
        assert isinstance(conv, _ConvNd)
        return conv

    def norms(self) -> list[str]:
        """The names of all norms that are called, in the order of their first call."""
        return [name for name in self.calls if isinstance(self.part.get_submodule(name), NORMS)]

    def fold(self, name: str) -> None:
        """Folds a norm and replaces it by ``nn.Identity``.

        Raises:
            NotFoldable: The norm can't be folded exactly.
        """
        norm = self.part.get_submodule(name)
        if not isinstance(norm, _BatchNorm) or type(norm) not in BATCH_NORMS or norm.running_mean is None:
            raise NotFoldable('take their statistics from the input')
        if not self.is_replaceable(name):
            raise NotFoldable('have hooks, or are used other than by being called')
        try:
            for conv, shifted in self.preceding_convolutions(name).items():
                fold_into_preceding(self.convolution(conv), norm, shifted)
        except NotFoldable as reason:
            for conv in self.following_convolutions(name, reason):
                fold_into_following(norm, self.convolution(conv))
        self.part.set_submodule(name, nn.Identity().eval())

    def is_replaceable(self, name: str) -> bool:
        """Whether a module has no hooks and is only used by being called in this part."""
        module = self.part.get_submodule(name)
        hooks = (module._forward_hooks, module._forward_pre_hooks)
        return module not in self.shared and name not in self.read_as_attributes and not any(hooks)

    def is_convolution(self, node: fx.Node) -> bool:
        """Whether a node calls a convolution whose weights may be changed."""
        return type(self.module(node)) in CONVOLUTIONS and self.is_replaceable(name_of(node))

    def preceding_convolutions(self, name: str) -> dict[str, bool]:
        """The convolutions whose output, or the sum of whose outputs, is the input of a norm in all its calls.

        Returns:
            The name of each convolution -> whether it is the one in its sum to which the norm's shift is added.

        Raises:
            NotFoldable: The norm has another input, or something else reads the output of such a convolution.
        """
        found: dict[str, bool] = {}
        reached: list[fx.Node] = []
        for call in self.calls[name]:
            for place, node in enumerate(self.summands(call)):
                reached.append(node)
                if found.setdefault(name_of(node), place == 0) != (place == 0):
                    raise NotFoldable('would shift a convolution in one call and not in another')
        every = [node for conv in found for node in self.calls[conv]]
        if len(reached) != len(every) or set(reached) != set(every):
            raise NotFoldable('follow a convolution that is also used elsewhere')
        features = self.part.get_submodule(name).num_features
        if any(self.convolution(conv).out_channels != features for conv in found):
            raise NotFoldable('follow a sum of convolutions with different numbers of channels')
        return found

    def summands(self, reader: fx.Node) -> list[fx.Node]:
        """The convolutions whose sum is the input of a node, looking through additions and folded norms.

        Raises:
            NotFoldable: The input is anything else, or something else reads it as well.
        """
        found = []
        if not reader.args or any(isinstance(value, fx.Node) for value in reader.kwargs.values()):
            raise NotFoldable('are called with keywords')
        for node in reader.args:
            if not isinstance(node, fx.Node):
                raise NotFoldable('follow no convolution')
            if len(node.users) > 1:
                raise NotFoldable('share their input with other layers')
            if self.is_convolution(node):
                found.append(node)
            elif node.target in ADDITIONS or type(self.module(node)) is nn.Identity:
                found += self.summands(node)
            else:
                raise NotFoldable('follow no convolution')
        return found

    def following_convolutions(self, name: str, reason: NotFoldable) -> list[str]:
        """The unpadded convolutions that read the output of a norm. Raises ``reason`` if anything else reads it."""
        readers = [reader for call in self.calls[name] for reader in call.users]
        ends = bool(readers) and all(self.is_convolution(reader) and len(self.calls[name_of(reader)]) == 1
                                     for reader in readers)
        if not ends or len(self.calls[name]) > 1:
            raise reason
        names = [name_of(reader) for reader in readers]
        if any(is_padded(self.convolution(conv)) for conv in names):
            raise NotFoldable('precede a padded convolution')
        return names


def name_of(node: fx.Node) -> str:
    """The name of the module that a node calls, or of the attribute that it reads."""
    return str(node.target)


def is_padded(conv: _ConvNd) -> bool:
    """Whether a convolution pads its input."""
    return conv.padding != 'valid' and any(conv.padding)


def statistics(norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    """The running mean and variance of a norm, each of shape (channels,), in float64."""
    assert norm.running_mean is not None and norm.running_var is not None
    return norm.running_mean.double(), norm.running_var.double()


def fold_into_preceding(conv: _ConvNd, norm: _BatchNorm, shifted: bool) -> None:
    """Changes a convolution in place to compute norm(conv(x)); without the norm's shift if not ``shifted``."""
    mean, variance = statistics(norm)
    bias, scale, shift = (None if tensor is None else tensor.double()
                          for tensor in (conv.bias, norm.weight, norm.bias))
    if not shifted:
        mean, shift = torch.zeros_like(mean), torch.zeros_like(mean)
    folded = fuse_conv_bn_weights(conv.weight.double(), bias, mean, variance, norm.eps, scale, shift)
    set_parameters(conv, folded[0], folded[1] if shifted or bias is not None else None)


def fold_into_following(norm: _BatchNorm, conv: _ConvNd) -> None:
    """Changes an unpadded convolution in place to compute conv(norm(x))."""
    mean, variance = statistics(norm)
    scale = torch.rsqrt(variance + norm.eps)
    if norm.weight is not None:
        scale = scale * norm.weight
    shift = -mean * scale
    if norm.bias is not None:
        shift = shift + norm.bias
    weight = conv.weight.double().unflatten(0, (conv.groups, -1)).flatten(3)  # (groups, out, in, taps)
    scale, shift = (tensor.reshape(conv.groups, 1, -1, 1) for tensor in (scale, shift))
    bias = (weight * shift).sum((2, 3)).flatten()
    if conv.bias is not None:
        bias = bias + conv.bias
    set_parameters(conv, (weight * scale).reshape(conv.weight.shape), bias)


def set_parameters(conv: _ConvNd, weight: Tensor, bias: Tensor | None) -> None:
    """Replaces the weight and bias of a convolution and keeps its dtype."""
    dtype = conv.weight.dtype
    conv.weight = nn.Parameter(weight.to(dtype), requires_grad=False)
    conv.bias = None if bias is None else nn.Parameter(bias.to(dtype), requires_grad=False)
