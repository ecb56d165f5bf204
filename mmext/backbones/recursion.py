"""The block of a recursion formula: a residual branch, and terms of earlier blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mmext.backbones.formula import Formula, Term
from mmext.backbones.layers import Layers, Size
from mmext.backbones.plan import StagePlan
from mmext.backbones.residual import POST, BasicBlock, Bottleneck, Residual, projection
from mmext.errors import UserError


class Shape(NamedTuple):
    """A feature map's channels, and the (frames, pixels) of the input that a cell stands for."""

    channels: int
    reduction: tuple[int, int]


class History(NamedTuple):
    """What blocks hand on: their outputs X and branches W X, the newest first, and X[0] if the formula reads it."""

    outputs: tuple[Tensor, ...]
    branches: tuple[Tensor, ...]
    origin: Tensor | None


class Recursion(Residual):
    """X[i] by a formula; mixed into a residual block, whose branch is W[i].

    A term of another shape than the block's output passes a 1x1 convolution with the stride, and a norm, of its own:
    ``downsample`` for X[i-1], ``downsample2`` and so on for the others in the formula's order.

    Args:
        layers: makes the layers.
        stage: the stage that the block stands in.
        first: whether it is the stage's first block.
        formula: its terms.
        shapes: of X[0] to X[i]; W[j] X[j-1] has the shape of X[j].
    """

    def __init__(self, layers: Layers, stage: StagePlan, first: bool, formula: Formula,
                 shapes: Sequence[Shape]) -> None:
        self.formula = formula
        self.shapes = tuple(shapes)
        super().__init__(layers, stage, first, POST)

    def make_shortcut(self, layers: Layers, stage: StagePlan, in_channels: int, stride: Size, pooled: bool) -> None:
        self.ways = {}
        made = self.shapes[-1]
        for term in self.formula.past:
            others = [name for name in self.ways.values() if name != 'downsample']
            name = 'downsample' if term.is_shortcut else f'downsample{len(others) + 2}'
            given = self.shapes[self.block_read(term)]
            frames, pixels = (new // old for new, old in zip(made.reduction, given.reduction))
            self.add_module(name, projection(layers, given.channels, made.channels, (frames, pixels), pooled=False))
            self.ways[term] = name

    def block_read(self, term: Term) -> int:
        """The number of the block whose output has the shape of a term's value; 0, the stem, before the first block."""
        if term.back is None:
            return 0
        return max(0, len(self.shapes) - 1 - term.back + term.weighted)

    def forward(self, history: History) -> History:
        branch = self.close(self.branch(history.outputs[0]))
        out = self.total(self.formula.rectified, history, branch)
        if out is not None:
            out = self.relu(out, inplace=len(self.formula.rectified) > 1)
        out = self.total(self.formula.added, history, branch, out)
        assert out is not None  # a formula has at least the term of its branch
        return History((out, *history.outputs)[:len(history.outputs)],
                       (branch, *history.branches)[:len(history.branches)], history.origin)

    def total(self, terms: Sequence[Term], history: History, branch: Tensor,
              total: Tensor | None = None) -> Tensor | None:
        """Adds the terms to ``total``, out of place: what blocks hand on is never overwritten. None if there are none.
        """
        for term in terms:
            value = branch if term.is_branch else self.past(term, history)
            if total is None:
                total = value if term.factor == 1 else term.factor * value
            else:
                total = torch.add(total, value, alpha=term.factor)
        return total

    def past(self, term: Term, history: History) -> Tensor:
        """The value of a term of earlier blocks, brought to the shape of the block's output."""
        if term.back is None:
            value = history.origin
            assert value is not None  # kept wherever a formula reads X[0]
        else:
            value = history.branches[term.back - 2] if term.weighted else history.outputs[term.back - 1]
        way = getattr(self, self.ways[term])
        return value if way is None else way(value)

    def zero_branch(self) -> None:
        formula = self.formula
        if all(term.is_branch for term in formula.rectified) and not any(term.is_branch for term in formula.added):
            raise UserError('zero_init_residual: the formula has its branch alone in relu(...), where it would not '
                            'learn from zero')
        super().zero_branch()


class SqueezeExcitation(nn.Module):
    """Scales every channel by what two linear layers make of all channels' means (arXiv 1709.01507, section 3)."""

    def __init__(self, channels: int, cell: Sequence[int], ratio: int = 16) -> None:
        super().__init__()
        self.cell = tuple(cell)  # (1, 1), in 3D (1, 1, 1): the extent of what holds one number a channel
        self.fc1 = nn.Linear(channels, channels // ratio)
        self.relu = nn.ReLU(inplace=True)
        self.fc2 = nn.Linear(channels // ratio, channels)

    def forward(self, x: Tensor) -> Tensor:
        means = x.flatten(2).mean(2)
        scale = torch.sigmoid(self.fc2(self.relu(self.fc1(means))))
        return x * scale.unflatten(1, (-1, *self.cell))


class Excited(Residual):
    """Closes a residual branch with ReLU, squeeze and excitation; mixed into a residual block."""

    def make_branch(self, layers: Layers, stage: StagePlan, in_channels: int, stride: Size) -> None:
        super().make_branch(layers, stage, in_channels, stride)
        self.se = SqueezeExcitation(stage.out_channels, layers.extent(1))

    def close(self, out: Tensor) -> Tensor:
        return self.se(self.relu(super().close(out)))

    def zero_branch(self) -> None:
        raise UserError('zero_init_residual: the branch of an SE block ends in a ReLU and would not learn from zero')


class Res2Block(Residual):
    """1x1 with the stride, four scales of grouped 3x3 convolutions, 1x1 (Res2Net, arXiv 1904.01169, eq. 1).

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
    """Two 3x3 convolutions, and the formula's terms."""


class RecursiveBottleneck(Recursion, Bottleneck):
    """1x1, 3x3, 1x1, and the formula's terms."""


class RecursiveRes2Block(Recursion, Res2Block):
    """Res2Net's branch, and the formula's terms."""


class SEBasicBlock(Recursion, Excited, BasicBlock):
    """Two 3x3 convolutions with squeeze and excitation, and the formula's terms."""


class SEBottleneck(Recursion, Excited, Bottleneck):
    """1x1, 3x3, 1x1 with squeeze and excitation, and the formula's terms."""


RECURSIVE_BLOCKS = {
    'basic': RecursiveBasicBlock,
    'bottleneck': RecursiveBottleneck,
    'res2': RecursiveRes2Block,
    'se_basic': SEBasicBlock,
    'se_bottleneck': SEBottleneck,
}
