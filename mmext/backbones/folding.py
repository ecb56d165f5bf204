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
        self.read_apart = {node.target.rpartition('.')[0] for node in graph.nodes if node.op == 'get_attr'}
        for node in graph.nodes:
            if node.op == 'call_module':
                self.calls[node.target].append(node)

    def module(self, node: fx.Node) -> nn.Module | None:
        return self.part.get_submodule(node.target) if node.op == 'call_module' else None

    def norms(self) -> list[str]:
        """The names of all norms that are called, in the order of their first calls."""
        return [name for name in self.calls if isinstance(self.part.get_submodule(name), NORMS)]

    def fold(self, name: str) -> None:
        """Folds a norm and puts ``nn.Identity`` in its place.

        Raises:
            Stays: it can't be folded.
        """
        norm = self.part.get_submodule(name)
        if type(norm) not in BATCH_NORMS or norm.running_mean is None:
            raise Stays('take their statistics from the input')
        if not self.is_ordinary(name):
            raise Stays('have hooks, or are read otherwise than by a call')
        try:
            for conv, shifted in self.before(name).items():
                fold_after(self.part.get_submodule(conv), norm, shifted)
        except Stays as reason:
            for conv in self.after(name, reason):
                fold_before(norm, self.part.get_submodule(conv))
        self.part.set_submodule(name, nn.Identity().eval())

    def is_ordinary(self, name: str) -> bool:
        """Whether a module does nothing but what its class does, and nothing but its calls in this part reads it."""
        module = self.part.get_submodule(name)
        hooks = (module._forward_hooks, module._forward_pre_hooks)
        return module not in self.shared and name not in self.read_apart and not any(hooks)

    def is_convolution(self, node: fx.Node) -> bool:
        return type(self.module(node)) in CONVOLUTIONS and self.is_ordinary(node.target)

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
                if found.setdefault(node.target, place == 0) != (place == 0):
                    raise Stays('would shift a convolution in one call and not in another')
        every = [node for conv in found for node in self.calls[conv]]
        if len(reached) != len(every) or set(reached) != set(every):
            raise Stays('follow a convolution that runs elsewhere too')
        features = self.part.get_submodule(name).num_features
        if any(self.part.get_submodule(conv).out_channels != features for conv in found):
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
        ends = bool(readers) and all(self.is_convolution(reader) and len(self.calls[reader.target]) == 1
                                     for reader in readers)
        if not ends or len(self.calls[name]) > 1:
            raise reason
        if any(is_padded(self.module(reader)) for reader in readers):
            raise Stays('stand before a convolution whose padding is not theirs')
        return [reader.target for reader in readers]


def is_padded(conv: nn.Module) -> bool:
    return conv.padding != 'valid' and any(conv.padding)


def fold_after(conv: nn.Module, norm: _BatchNorm, shifted: bool) -> None:
    """conv <- norm(conv), in place; without the norm's shift where another convolution of the sum takes it."""
    weight, bias, mean, variance, scale, shift = (
        None if tensor is None else tensor.double()
        for tensor in (conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.weight, norm.bias))
    if not shifted:
        mean, shift = torch.zeros_like(mean), torch.zeros_like(mean)
    folded = fuse_conv_bn_weights(weight, bias, mean, variance, norm.eps, scale, shift)
    set_parameters(conv, folded[0], folded[1] if shifted or bias is not None else None)


def fold_before(norm: _BatchNorm, conv: nn.Module) -> None:
    """conv <- conv(norm), in place; the convolution is not padded."""
    scale = torch.rsqrt(norm.running_var.double() + norm.eps)
    if norm.weight is not None:
        scale = scale * norm.weight
    shift = -norm.running_mean * scale
    if norm.bias is not None:
        shift = shift + norm.bias
    weight = conv.weight.double().unflatten(0, (conv.groups, -1)).flatten(3)  # (groups, out, in, taps)
    scale, shift = (tensor.reshape(conv.groups, 1, -1, 1) for tensor in (scale, shift))
    bias = (weight * shift).sum((2, 3)).flatten()
    if conv.bias is not None:
        bias = bias + conv.bias
    set_parameters(conv, (weight * scale).reshape(conv.weight.shape), bias)


def set_parameters(conv: nn.Module, weight: Tensor, bias: Tensor | None) -> None:
    """Gives a convolution new numbers, in its own number format."""
    dtype = conv.weight.dtype
    conv.weight = nn.Parameter(weight.to(dtype), requires_grad=False)
    conv.bias = None if bias is None else nn.Parameter(bias.to(dtype), requires_grad=False)
