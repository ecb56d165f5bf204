"""The blocks of recursion formulas: a residual branch plus terms that come from earlier blocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mmext.backbones.formula import Formula, Term
from mmext.backbones.layers import Layers, Size
from mmext.backbones.plan import StagePlan
from mmext.backbones.residual import POST, BasicBlock, Bottleneck, Residual, projection
from mmext.errors import UserError


class Shape(NamedTuple):
    """The number of channels of a feature map, and its total (temporal, spatial) stride in frames and pixels."""

    channels: int
    reduction: tuple[int, int]


class History(NamedTuple):
    """The state that blocks pass on: outputs X, branches W X and products W W X ..., and X[0] if the formula reads it.

    Outputs are in the order latest first. So are the branches, and after them each other product of ``Formula.kept``.
    """

    outputs: tuple[Tensor, ...]
    branches: tuple[Tensor, ...]
    origin: Tensor | None


Kept = Mapping[Term, Sequence[Tensor]]  # the values of each product, latest first


class Gate(nn.Module):
    """The gate T[i] of a highway (arXiv 1505.00387): the sigmoid of a 1x1 convolution, one value per channel and pixel.

    Its bias stands for the difference from ``BIAS``, so that a new gate is nearly closed, as that paper advises.

    Args:
        layers: Factory for the layers.
        in_channels: Number of channels of X[i-1].
        out_channels: Number of channels of the block's output.
        stride: Stride of the block.
    """

    BIAS = -2.0

    def __init__(self, layers: Layers, in_channels: int, out_channels: int, stride: Size) -> None:
        super().__init__()
        self.conv = layers.conv(in_channels, out_channels, 1, stride, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, [T,] H, W) -> values from 0 to 1, of the shape of the block's output."""
        return torch.sigmoid(self.conv(x) + self.BIAS)


class Recursion(Residual):
    """Mixin that makes a residual block compute X[i] by a formula; the residual branch of the block is W[i].

    A term whose shape differs from the block's output has its own projection: a 1x1 convolution with the stride, and a
    norm. It is called ``downsample`` for X[i-1], and ``downsample2``, ``downsample3`` ... for the other terms in the
    order of the formula. For a product such as W[i] W[i-1] X[i-2] or W[i] X[i-2], the branch runs once more, on
    W[i-1] X[i-2] or X[i-2]; where that has another shape than X[i-1], it has a projection as well, ``align``.

    Args:
        layers: Factory for the layers.
        stage: The stage of the block.
        first: Whether this is the first block of the stage.
        formula: The formula.
        shapes: The shapes of X[0] to X[i]. W[j] X[j-1] has the same shape as X[j].
        from_zeros: Whether the outputs before X[0] are zeros. A product that reaches them is then zero too.
    """

    def __init__(self, layers: Layers, stage: StagePlan, first: bool, formula: Formula,
                 shapes: Sequence[Shape], from_zeros: bool = True) -> None:
        self.formula = formula
        self.shapes = tuple(shapes)
        self.from_zeros = from_zeros
        super().__init__(layers, stage, first, POST)
        if formula.gated:
            in_channels = stage.in_channels if first else stage.out_channels
            self.gate = Gate(layers, in_channels, stage.out_channels, stage.stride if first else 1)

    def make_shortcut(self, layers: Layers, stage: StagePlan, in_channels: int, stride: Size, pooled: bool) -> None:
        self.projections: dict[Term, str] = {}
        output = self.shapes[-1]
        for term in self.formula.past:
            others = [name for name in self.projections.values() if name != 'downsample']
            name = 'downsample' if term.is_shortcut else f'downsample{len(others) + 2}'
            source = self.shapes[self.block_read(term)]
            self.add_module(name, project(layers, source, output, stage.averaged))
            self.projections[term] = name
        self.alignments: dict[Term, str] = {}
        for number, own in enumerate([own for own in self.formula.kept if own.inner.latest != 1], 1):
            self.alignments[own] = f'align{number}'
            source = self.shapes[self.block_read(own.inner)]
            self.add_module(f'align{number}', project(layers, source, self.shapes[-2], stage.averaged))

    def block_read(self, term: Term) -> int:
        """The number of the block whose output has the same shape as a term; 0 stands for the stem."""
        return 0 if term.latest is None else max(0, len(self.shapes) - 1 - term.latest)

    def forward(self, history: History) -> History:
        """Computes the output and branch of this block, and returns the history with both added."""
        formula = self.formula
        kept = dict(zip(formula.kept, split(history.branches, list(formula.kept.values()))))
        values = self.products(history, kept)
        branches = chain(*[(values[own], *old)[:len(old)] for own, old in kept.items()])

        def value(term: Term) -> Tensor:
            if term not in values:
                downsample = getattr(self, self.projections[term])
                found = find(term, history, kept)
                values[term] = found if downsample is None else downsample(found)
            return values[term]

        gate = self.gate(history.outputs[0]) if formula.gated else None
        out = total(formula.rectified, value, gate)
        if out is not None:
            out = self.relu(out, inplace=len(formula.rectified) > 1)
        out = total(formula.added, value, gate, out)
        assert out is not None  # a formula has at least one term of its branch
        return History((out, *history.outputs)[:len(history.outputs)], tuple(branches), history.origin)

    def products(self, history: History, kept: Kept) -> dict[Term, Tensor]:
        """The values of all products of the formula in which the branch of this block is applied last."""
        values: dict[Term, Tensor] = {}
        for own in self.formula.kept:
            if self.from_zeros and values and (own.back or 0) >= len(self.shapes):
                values[own] = torch.zeros_like(next(iter(values.values())))  # it reaches back before X[0]
                continue
            value = find(own.inner, history, kept)
            align = getattr(self, self.alignments[own]) if own in self.alignments else None
            values[own] = self.finish_branch(self.branch(value if align is None else align(value)))
        return values

    def zero_branch(self) -> None:
        """Makes the branch output zero.

        Raises:
            UserError: The formula rectifies the branch alone, so that it would get no gradient from zero.
        """
        formula = self.formula
        if all(term.is_own for term in formula.rectified) and not any(term.is_own for term in formula.added):
            raise UserError('zero_init_residual: the formula has its branch alone in relu(...), so a branch that is '
                            'initialised to zero would not learn')
        super().zero_branch()


def project(layers: Layers, source: Shape, target: Shape, averaged: bool) -> nn.Module | None:
    """The layers from one shape to another; None if they are the same."""
    frames, pixels = (new // old for new, old in zip(target.reduction, source.reduction))
    return projection(layers, source.channels, target.channels, (frames, pixels), pooled=False, averaged=averaged)


def find(term: Term, history: History, kept: Kept) -> Tensor:
    """The value of a term that was computed by an earlier block, without factor and gate."""
    if term.back is None:
        assert history.origin is not None  # the history keeps X[0] if the formula reads it
        return history.origin
    return kept[term.when_own][term.weights[0] - 1] if term.weights else history.outputs[term.back - 1]


def split(values: Sequence[Tensor], counts: Sequence[int]) -> list[tuple[Tensor, ...]]:
    """Cuts a sequence into parts of these lengths."""
    parts, start = [], 0
    for count in counts:
        parts.append(tuple(values[start:start + count]))
        start += count
    return parts


def total(terms: Sequence[Term], value_of: Callable[[Term], Tensor], gate: Tensor | None,
          total: Tensor | None = None) -> Tensor | None:
    """Sums terms, added to ``total`` if it is given. Out of place, since the history must not be overwritten.

    Args:
        terms: The terms.
        value_of: Gives the value of a term without factor and gate.
        gate: T[i], where a term has a gate.
        total: What they are added to.

    Returns:
        The sum; None if there is nothing to sum.
    """
    for term in terms:
        value = value_of(term.source)
        if gate is not None and term.gate:
            value = value * (gate if term.gate == 'T' else 1 - gate)
        if total is None:
            total = value if term.factor == 1 else term.factor * value
        else:
            total = torch.add(total, value, alpha=term.factor)
    return total


class SqueezeExcitation(nn.Module):
    """Squeeze and excitation (arXiv 1709.01507, section 3): two linear layers compute a scale for every channel.

    Args:
        channels: Number of channels.
        cell: The size of a feature map with one value per channel: (1, 1), in 3D (1, 1, 1).
        ratio: Ratio of the channels to the hidden units.
    """

    def __init__(self, channels: int, cell: Sequence[int], ratio: int = 16) -> None:
        super().__init__()
        self.cell = tuple(cell)
        self.fc1 = nn.Linear(channels, channels // ratio)
        self.relu = nn.ReLU(inplace=True)
        self.fc2 = nn.Linear(channels // ratio, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, [T,] H, W) -> the same shape, with scaled channels."""
        means = x.flatten(2).mean(2)
        scale = torch.sigmoid(self.fc2(self.relu(self.fc1(means))))
        return x * scale.unflatten(1, (-1, *self.cell))


class Excited(Residual):
    """Mixin that ends the residual branch of a block with ReLU, squeeze and excitation."""

    def make_branch(self, layers: Layers, stage: StagePlan, in_channels: int, stride: Size) -> None:
        super().make_branch(layers, stage, in_channels, stride)
        self.se = SqueezeExcitation(stage.out_channels, layers.extent(1))

    def finish_branch(self, out: Tensor) -> Tensor:
        return self.se(self.relu(super().finish_branch(out)))

    def zero_branch(self) -> None:
        """Raises UserError: the branch ends in a ReLU, so it would get no gradient from zero."""
        raise UserError('zero_init_residual: the branch of an SE block ends in a ReLU, so a branch that is initialised '
                        'to zero would not learn')


class Res2Block(Residual):
    """1x1 convolution with the stride, four scales of grouped 3x3 convolutions, 1x1 (Res2Net, arXiv 1904.01169, eq. 1).

    ::

        x = (x1, x2, x3, x4):  y1 = x1,  y2 = K2(x2),  y3 = K3(x3 + y2),  y4 = K4(x4 + y3)
    """

    last_norm_name = 'bn3'
    scales = 4

    def make_branch(self, layers: Layers, stage: StagePlan, in_channels: int, stride: Size) -> None:
        part = stage.width // self.scales
        self.conv1 = layers.conv(in_channels, stage.width, 1, stride)
        self.bn1 = layers.norm(stage.width)
        self.convs = nn.ModuleList(layers.conv(part, part, 3, dilation=stage.dilation, groups=stage.groups)
                                   for _ in range(self.scales - 1))
        self.bns = nn.ModuleList(layers.norm(part) for _ in range(self.scales - 1))
        self.conv3 = layers.conv(stage.width, stage.out_channels, 1)

    def branch(self, x: Tensor) -> Tensor:
        parts = self.relu(self.bn1(self.conv1(x))).chunk(self.scales, 1)
        outs = [parts[0]]
        for k, (conv, norm) in enumerate(zip(self.convs, self.bns), 1):
            outs.append(self.relu(norm(conv(parts[k] if k == 1 else parts[k] + outs[-1]))))
        return self.conv3(torch.cat(outs, 1))


class RecursiveBasicBlock(Recursion, BasicBlock):
    """A block of two 3x3 convolutions with a recursion formula."""


class RecursiveBottleneck(Recursion, Bottleneck):
    """A block of 1x1, 3x3 and 1x1 convolutions with a recursion formula."""


class RecursiveRes2Block(Recursion, Res2Block):
    """A block of Res2Net with a recursion formula."""


class SEBasicBlock(Recursion, Excited, BasicBlock):
    """A block of two 3x3 convolutions with squeeze and excitation and a recursion formula."""


class SEBottleneck(Recursion, Excited, Bottleneck):
    """A block of 1x1, 3x3 and 1x1 convolutions with squeeze and excitation and a recursion formula."""


RECURSIVE_BLOCKS = {
    'basic': RecursiveBasicBlock,
    'bottleneck': RecursiveBottleneck,
    'res2': RecursiveRes2Block,
    'se_basic': SEBasicBlock,
    'se_bottleneck': SEBottleneck,
}
