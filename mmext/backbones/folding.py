"""Which batch norms can be folded into the convolutions around them, and the folding.

In eval mode a batch norm is y = s x + t with numbers of its own for each channel. Three places take it without a change
of the result:

- a convolution before it whose output nothing else reads: its weights times s, its bias likewise and plus t;
- a sum of such convolutions (as before the last norm of a ResNet in ResNet block): each times s, and t to one of them;
- convolutions after it, with nothing between, if they are not padded: what pads them would be zero and not t.
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
NORMS = (_NormBase, nn.GroupNorm, nn.LayerNorm)  # the first stands for batch and instance norms
ADDITIONS = (operator.add, operator.iadd, torch.add, 'add', 'add_')


class Stays(Exception):
    """A norm can't be folded; the message says why."""


class Flow:
    """The data flow of one part of a model, and the folding of its norms.

    Args:
        part: the module; its norms are replaced.
        graph: its data flow.
        shared: modules that stand in other parts too.
    """

    def __init__(self, part: nn.Module, graph: fx.Graph, shared: set[nn.Module]) -> None:
        self.part = part
        self.shared = shared
        self.calls: dict[str, list[fx.Node]] = defaultdict(list)
        self.read_apart = {name_of(node).rpartition('.')[0] for node in graph.nodes if node.op == 'get_attr'}
        for node in graph.nodes:
            if node.op == 'call_module':
                self.calls[name_of(node)].append(node)

    def module(self, node: fx.Node) -> nn.Module | None:
        """The module that a node calls; None where it calls none."""
        return self.part.get_submodule(name_of(node)) if node.op == 'call_module' else None

    def convolution(self, name: str) -> _ConvNd:
        """The convolution of a name that is known to be one's."""
        conv = self.part.get_submodule(name)
        assert isinstance(conv, _ConvNd)
        return conv

    def norms(self) -> list[str]:
        """The names of all norms that are called, in the order of their first calls."""
        return [name for name in self.calls if isinstance(self.part.get_submodule(name), NORMS)]

    def fold(self, name: str) -> None:
        """Folds a norm and puts ``nn.Identity`` in its place.

        Raises:
            Stays: it can't be folded.
        """
        norm = self.part.get_submodule(name)
        if not isinstance(norm, _BatchNorm) or type(norm) not in BATCH_NORMS or norm.running_mean is None:
            raise Stays('take their statistics from the input')
        if not self.is_ordinary(name):
            raise Stays('have hooks, or are read otherwise than by a call')
        try:
            for conv, shifted in self.before(name).items():
                fold_after(self.convolution(conv), norm, shifted)
        except Stays as reason:
            for conv in self.after(name, reason):
                fold_before(norm, self.convolution(conv))
        self.part.set_submodule(name, nn.Identity().eval())

    def is_ordinary(self, name: str) -> bool:
        """Whether a module does nothing but what its class does, and nothing but its calls in this part reads it."""
        module = self.part.get_submodule(name)
        hooks = (module._forward_hooks, module._forward_pre_hooks)
        return module not in self.shared and name not in self.read_apart and not any(hooks)

    def is_convolution(self, node: fx.Node) -> bool:
        """Whether a node calls a convolution that can be changed."""
        return type(self.module(node)) in CONVOLUTIONS and self.is_ordinary(name_of(node))

    def before(self, name: str) -> dict[str, bool]:
        """The convolutions whose output, or the sum of whose outputs, a norm reads in all its calls.

        Returns:
            Name -> whether it is the one of its sum that takes the norm's shift.

        Raises:
            Stays: the norm reads anything else, or one of them is read by anything else.
        """
        found: dict[str, bool] = {}
        reached: list[fx.Node] = []
        for call in self.calls[name]:
            for place, node in enumerate(self.summands(call)):
                reached.append(node)
                if found.setdefault(name_of(node), place == 0) != (place == 0):
                    raise Stays('would shift a convolution in one call and not in another')
        every = [node for conv in found for node in self.calls[conv]]
        if len(reached) != len(every) or set(reached) != set(every):
            raise Stays('follow a convolution that runs elsewhere too')
        features = self.part.get_submodule(name).num_features
        if any(self.convolution(conv).out_channels != features for conv in found):
            raise Stays('follow a sum of convolutions of unlike channels')
        return found

    def summands(self, reader: fx.Node) -> list[fx.Node]:
        """The convolutions that a node reads through additions and folded norms; Stays where it reads others."""
        found = []
        if not reader.args or any(isinstance(value, fx.Node) for value in reader.kwargs.values()):
            raise Stays('are called with keywords')
        for node in reader.args:
            if not isinstance(node, fx.Node):
                raise Stays('follow no convolution')
            if len(node.users) > 1:
                raise Stays('read what others read too')
            if self.is_convolution(node):
                found.append(node)
            elif node.target in ADDITIONS or type(self.module(node)) is nn.Identity:
                found += self.summands(node)
            else:
                raise Stays('follow no convolution')
        return found

    def after(self, name: str, reason: Stays) -> list[str]:
        """The unpadded convolutions that alone read a norm; raises ``reason`` where others do."""
        readers = [reader for call in self.calls[name] for reader in call.users]
        ends = bool(readers) and all(self.is_convolution(reader) and len(self.calls[name_of(reader)]) == 1
                                     for reader in readers)
        if not ends or len(self.calls[name]) > 1:
            raise reason
        names = [name_of(reader) for reader in readers]
        if any(is_padded(self.convolution(conv)) for conv in names):
            raise Stays('stand before a convolution whose padding is not theirs')
        return names


def name_of(node: fx.Node) -> str:
    """The name of the module that a node calls, or of the attribute that it reads."""
    return str(node.target)


def is_padded(conv: _ConvNd) -> bool:
    """Whether a convolution pads its input."""
    return conv.padding != 'valid' and any(conv.padding)


def statistics(norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    """The running mean and variance of a norm that has them, each (channels,), in float64."""
    assert norm.running_mean is not None and norm.running_var is not None
    return norm.running_mean.double(), norm.running_var.double()


def fold_after(conv: _ConvNd, norm: _BatchNorm, shifted: bool) -> None:
    """conv <- norm(conv), in place; without the norm's shift where another convolution of the sum takes it."""
    mean, variance = statistics(norm)
    bias, scale, shift = (None if tensor is None else tensor.double()
                          for tensor in (conv.bias, norm.weight, norm.bias))
    if not shifted:
        mean, shift = torch.zeros_like(mean), torch.zeros_like(mean)
    folded = fuse_conv_bn_weights(conv.weight.double(), bias, mean, variance, norm.eps, scale, shift)
    set_parameters(conv, folded[0], folded[1] if shifted or bias is not None else None)


def fold_before(norm: _BatchNorm, conv: _ConvNd) -> None:
    """conv <- conv(norm), in place; the convolution is not padded."""
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
    """Gives a convolution new numbers, in its own number format."""
    dtype = conv.weight.dtype
    conv.weight = nn.Parameter(weight.to(dtype), requires_grad=False)
    conv.bias = None if bias is None else nn.Parameter(bias.to(dtype), requires_grad=False)
