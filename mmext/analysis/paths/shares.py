"""The share of the gradient that arrives by paths of each length in a network, by autograd.

The network is a function of the output of its stem; the gradient that is sent down from its last feature map is split
by how many steps it has passed: a step is the residual branch of a block, or, in families whose shortcuts lead past
single layers (C-ResNet, ResNet in ResNet, ALL-CNN-C), a layer. The learned part of a layer of ResNet Init is a step,
and its identity is none. Projections on shortcuts are no steps.

The split is exact at the operating point. The gradient travels as one part per length, each in its own copy of the
batch, and where it passes a step, every part moves on to the next copy. In eval mode the samples of a batch don't
depend on each other, so that the copies are one forward pass each, and their backward passes one each with the parts
as they should be.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import singledispatch
from typing import Any

import torch
import torch.utils._pytree as pytree
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmext.analysis.paths.unroll import count_paths
from mmext.backbones.backbone import Backbone
from mmext.backbones.cresnet import CrossBlock
from mmext.backbones.half_identity import HalfIdentity
from mmext.backbones.recursion import Recursion
from mmext.backbones.recursive import RecursiveResNet
from mmext.backbones.residual import Residual
from mmext.backbones.rir import ConvBlock, RiRBlock
from mmext.errors import UserError

LARGEST = 2**25  # most numbers in the copies of a block's state, which bounds the memory
Counts = Counter[int]  # length -> number of paths


@dataclass(frozen=True)
class Steps:
    """What a block is for paths.

    Args:
        layers: The layers of whose outputs the gradient has passed a step.
        most: The most steps of one path through the block.
        counts: How many paths of each length lead through the block; None if that depends on other blocks.
    """

    layers: list[nn.Module]
    most: int
    counts: Counts | None


@singledispatch
def steps_of(block: nn.Module) -> Steps:
    """The steps of a block. Raises UserError for a block of a family that is not known here."""
    raise UserError(f'the paths through {type(block).__name__} are not known; register it with '
                    'mmext.analysis.paths.shares.steps_of')


@steps_of.register
def of_residual(block: Residual) -> Steps:
    """One step, the branch, whose last convolution every path through it passes."""
    return Steps([block.last_conv], 1, Counter({0: 1, 1: 1}))


@steps_of.register
def of_recursion(block: Recursion) -> Steps:
    """One step, the branch; the gate of a highway also has a layer that a path may lead through."""
    gate = [block.gate.conv] if block.formula.gated else []
    return Steps(of_residual(block).layers + gate, 1, None)


@steps_of.register
def of_cross_block(block: CrossBlock) -> Steps:
    """Each layer is a step; jumpers are none."""
    count = len(block.variant.layers)
    reached = [Counter({0: 1})]
    for k in range(1, count + 1):
        sources = [reached[jumper.source] for jumper in block.variant.jumpers if jumper.target == k]
        reached.append(sum(sources, longer(reached[-1], Counter({1: 1}))))
    return Steps([getattr(block, f'conv{k}') for k in range(1, count + 1)], count, reached[-1])


@steps_of.register
def of_rir_block(block: RiRBlock) -> Steps:
    """Each layer is a step, around which the identity of ResNet Init leads; the shortcut is none."""
    layers = [getattr(block, f'conv{k}') for k in range(1, block.count + 1)]
    counts = Counter({0: 1})
    for layer in layers:
        counts = longer(counts, counts_of_layer(layer))
    return Steps(layers, block.count, counts + Counter({0: 1}) if block.shortcut else counts)


@steps_of.register
def of_conv_block(block: ConvBlock) -> Steps:
    """One layer."""
    return Steps([block.conv1], 1, counts_of_layer(block.conv1))


def counts_of_layer(layer: nn.Module) -> Counts:
    """One path through a layer, and one more through the identity of ResNet Init."""
    return Counter({0: 1, 1: 1}) if isinstance(layer, HalfIdentity) else Counter({1: 1})


def longer(first: Counts, second: Counts) -> Counts:
    """How many paths lead through two parts, one after the other."""
    found: Counts = Counter()
    for a, one in first.items():
        for b, other in second.items():
            found[a + b] += one * other
    return found


class Step(torch.autograd.Function):
    """The identity; in the backward pass, the part of each copy of the batch moves on to the next copy."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, copies: int) -> Tensor:
        ctx.copies = copies
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        parts = gradients[0].unflatten(0, (ctx.copies, -1))
        return torch.cat((torch.zeros_like(parts[:1]), parts[:-1])).flatten(0, 1), None


@contextmanager
def marked(layers: list[nn.Module], copies: int) -> Iterator[None]:
    """Makes the gradient pass a ``Step`` at the output of each of these layers."""
    def mark(layer: nn.Module, given: tuple, made: Tensor) -> Tensor:
        if not isinstance(layer, HalfIdentity):
            return Step.apply(made, copies)
        convolve: Callable = layer._conv_forward  # pyright: ignore  every such layer here is a convolution
        kept = convolve(given[0], layer.identity, None)
        return kept + Step.apply(made - kept, copies)

    handles = [layer.register_forward_hook(mark) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def tensors_of(state: Any) -> list[Tensor]:
    """The tensors that one block passes to the next."""
    return [value for value in pytree.tree_leaves(state) if isinstance(value, Tensor)]


def with_tensors(state: Any, tensors: list[Tensor]) -> Any:
    """A state with other tensors, in the order of ``tensors_of``."""
    others = iter(tensors)
    return pytree.tree_map_only(Tensor, lambda _: next(others), state)


def back(part: Callable, state: Any, gradients: list[Tensor], layers: list[nn.Module], most: int) -> list[Tensor]:
    """Sends the parts of a gradient back through a part of the network.

    Args:
        part: The part: state -> state.
        state: What it was given.
        gradients: For each tensor of what it returns: (lengths, N, ...), by how many steps were passed.
        layers: Its steps.
        most: The most steps of one path through it.

    Returns:
        The same for each tensor of its state, with ``most`` lengths more.
    """
    given = tensors_of(state)
    lengths = len(gradients[0])
    numbers = sum(tensor.numel() for tensor in given) + sum(gradient[0].numel() for gradient in gradients)
    at_once = max(1, LARGEST // numbers - most)
    total = [tensor.new_zeros(lengths + most, *tensor.shape) for tensor in given]
    for start in range(0, lengths, at_once):
        end = min(start + at_once, lengths)
        copies = end - start + most
        leaves = [tensor.repeat(copies, *[1] * (tensor.dim() - 1)).requires_grad_() for tensor in given]
        with torch.enable_grad(), marked(layers, copies):
            made = tensors_of(part(with_tensors(state, [leaf.clone() for leaf in leaves])))
        pairs = [(tensor, torch.cat((gradient[start:end], gradient.new_zeros(most, *gradient.shape[1:]))).flatten(0, 1))
                 for tensor, gradient in zip(made, gradients) if tensor.requires_grad]
        found = torch.autograd.grad([tensor for tensor, _ in pairs], leaves, [gradient for _, gradient in pairs],
                                    allow_unused=True, materialize_grads=True)
        for sum_, gradient in zip(total, found):
            sum_[start:end + most] += gradient.unflatten(0, (copies, -1))
    return total


def gradient_parts(net: Backbone, x: Tensor, seed: int = 0) -> Tensor:
    """The gradient at the output of the stem, by the length of the paths that it came by.

    What is derived is a random weighted sum of the channels of the last feature map, averaged over its pixels, as a
    classifier makes it of them.

    Args:
        net: A network in eval mode.
        x: (N, C, [T,] H, W), as the network takes it.
        seed: Of the weights of the sum.

    Returns:
        (lengths, N, channels of the stem, [T,] H, W): the part of each length from 0; their sum is the gradient.

    Raises:
        UserError: The network has a block of an unknown family.
    """
    blocks = [block for _, block in net.named_blocks()]
    steps = [steps_of(block) for block in blocks]
    with torch.no_grad():
        net.check_size(x)
        stem = net.forward_stem(x)
        states = [net.begin(stem)]
        for block in blocks:
            states.append(block(pytree.tree_map_only(Tensor, torch.clone, states[-1])))

    def head(state: Any) -> Tensor:
        feature = net.feature(state)
        return feature if net.bn_last is None else net.relu_last(net.bn_last(feature))

    with torch.no_grad():
        last = head(states[-1])
    weights = torch.randn(last.shape[1], generator=torch.Generator().manual_seed(seed)).to(last)
    weights = weights.reshape(1, -1, *[1] * (last.dim() - 2)).expand_as(last) / last[0, 0].numel()
    gradients = back(head, states[-1], [weights[None]], [], 0)
    for block, state, step in zip(reversed(blocks), reversed(states[:-1]), reversed(steps)):
        gradients = back(block, state, gradients, step.layers, step.most)
    return back(net.begin, stem, gradients, [], 0)[0]


@dataclass(frozen=True)
class Share:
    """What arrives by the paths of one length.

    Args:
        length: How many steps they have.
        paths: How many they are; the sum of their factors where a formula has some.
        norm: The norm of their part, as a share of the sum of all parts' norms.
        along: Their part along the whole gradient, as a share of it; these add up to one, and may be negative.
    """

    length: int
    paths: Fraction
    norm: float
    along: float


def shares(net: Backbone, x: Tensor, seed: int = 0) -> list[Share]:
    """The shares of all lengths, averaged over the samples of a batch; see ``gradient_parts``.

    Raises:
        UserError: The network has a block of an unknown family, or its gradient is zero or not finite.
    """
    parts = gradient_parts(net, x, seed).double().flatten(2)  # (lengths, N, numbers)
    whole = parts.sum(0)
    norms, squares = parts.norm(dim=2), whole.square().sum(1)
    if not (torch.isfinite(norms).all() and (squares > 0).all()):
        raise UserError('the gradient at the output of the stem is zero or not finite, so that it has no shares')
    shares_of_norm = (norms / norms.sum(0)).mean(1)
    along = ((parts * whole).sum(2) / squares).mean(1)
    counts = counts_of(net)
    return [Share(k, Fraction(counts.get(k, 0)), float(shares_of_norm[k]), float(along[k])) for k in range(len(parts))]


def counts_of(net: Backbone) -> dict[int, Fraction] | dict[int, int]:
    """How many paths of each length lead from the stem to the last feature map."""
    if isinstance(net, RecursiveResNet):
        formula: Any = net.formula
        return count_paths(formula, 0, sum(stage.blocks for stage in net.stages),
                           before=int(net.initial_state == 'stem'))
    counts: Counts = Counter({0: 1})
    for _, block in net.named_blocks():
        through = steps_of(block).counts
        assert through is not None  # only those of a formula depend on other blocks
        counts = longer(counts, through)
    return counts


def settle_norms(net: Backbone, x: Tensor) -> None:
    """Puts a network with random weights into eval mode, with the statistics of a batch in its batch norms."""
    norms = [module for module in net.modules() if isinstance(module, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    net.train()
    with torch.no_grad():
        net(x)
    for norm, momentum in zip(norms, momenta):
        norm.momentum = momentum
    net.eval()
