"""The recursion-formula networks once more, written from section 6 of the definitions alone, over a state dict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.backbones.reference import Functions

PRODUCT = 'relu(W[i] X[i-1] + X[i-1]) + W[i] W[i-1] X[i-2] - 0.5 W[i-1] W[i-2] X[i-3]'
SKIPPED = 'relu(W[i] X[i-1] + X[i-1]) - W[i] X[i-2]'


class RecursiveReference(Functions):
    """A network of a recursion formula as a function.

    Args:
        formula: 'resnet', 'eq20', 'eq21', 'appendix1', 'appendix2', 'plain', 'highway', ``PRODUCT`` or ``SKIPPED``.
        branch: 'basic', 'bottleneck' or 'res2'; with squeeze and excitation where the state has its layers.
        blocks: per stage.
        groups: of the 3x3 convolutions of 'bottleneck' and 'res2'.
        state: parameters and buffers.
        training: as ``nn.Module.training``.
        from_stem: the state before the first block is a copy of the stem's output and not zeros.
    """

    def __init__(self, formula: str, branch: str, blocks: Sequence[int], groups: int, state: Mapping[str, Tensor],
                 training: bool, from_stem: bool = False) -> None:
        super().__init__(state, training)
        self.formula, self.blocks, self.groups, self.from_stem = formula, blocks, groups, from_stem
        self.residual = dict(basic=self.basic, bottleneck=self.bottleneck, res2=self.res2)[branch]
        self.prefix = ''

    def __call__(self, x: Tensor) -> list[Tensor]:
        stem = F.relu(self.bn('bn1', self.conv('conv1', x)))
        before = stem if self.from_stem else torch.zeros_like(stem)
        newest, last, taken_away = stem, before, before  # X[i-1], X[i-2], W[i-1] X[i-2]
        twice = torch.zeros_like(stem)  # W[i-1] W[i-2] X[i-3]
        features = []
        for stage, blocks in enumerate(self.blocks, 1):
            for i in range(blocks):
                self.prefix = f'layer{stage}.{i}.'
                stride = 2 if stage > 1 and i == 0 else 1
                f = self.residual(newest, stride)
                if self.formula == PRODUCT:
                    ff = self.residual(taken_away, stride) if self.from_stem or (stage, i) != (1, 0) else f * 0
                    out = (F.relu(f + self.shortcut('downsample', newest, f)) + ff
                           - 0.5 * self.shortcut('downsample2', twice, f))
                    twice = ff
                elif self.formula == SKIPPED:
                    out = F.relu(f + self.shortcut('downsample', newest, f))
                    if (stage, i) != (1, 0):
                        out = out - self.residual(self.shortcut('align1', last, newest), stride)
                else:
                    out = self.combine(f, newest, last, taken_away, stem)
                newest, last, taken_away = out, newest, f
            features.append(newest)
        return features

    def combine(self, f: Tensor, x1: Tensor, x2: Tensor, f1: Tensor, stem: Tensor) -> Tensor:
        if self.formula == 'resnet':
            return F.relu(f + self.shortcut('downsample', x1, f))
        if self.formula == 'eq20':
            return F.relu(f + self.shortcut('downsample', x1, f)) - self.shortcut('downsample2', f1, f)
        if self.formula == 'plain':
            return F.relu(f)
        if self.formula == 'highway':
            name = f'{self.prefix}gate.conv'
            gate = torch.sigmoid(self.conv(name, x1, x1.shape[-1] // f.shape[-1]) - 2)
            return F.relu(gate * f + (1 - gate) * self.shortcut('downsample', x1, f))
        added = dict(eq21=stem, appendix1=x2, appendix2=f1)[self.formula]
        return F.relu(f) + self.shortcut('downsample2', added, f)

    def shortcut(self, name: str, x: Tensor, like: Tensor) -> Tensor:
        """The identity, or a 1x1 convolution with the stride, and a norm, where channels or extent change."""
        if x.shape == like.shape:
            return x
        name = self.prefix + name
        return self.bn(f'{name}.1', self.conv(f'{name}.0', x, x.shape[-1] // like.shape[-1]))

    def layer(self, conv: str, norm: str, x: Tensor, stride: int = 1, groups: int = 1) -> Tensor:
        return self.bn(self.prefix + norm, self.conv(self.prefix + conv, x, stride, 1, groups))

    def basic(self, x: Tensor, stride: int) -> Tensor:
        out = F.relu(self.layer('conv1', 'bn1', x, stride))
        return self.excited(self.layer('conv2', 'bn2', out))

    def bottleneck(self, x: Tensor, stride: int) -> Tensor:
        out = F.relu(self.layer('conv1', 'bn1', x))
        out = F.relu(self.layer('conv2', 'bn2', out, stride, self.groups))
        return self.excited(self.layer('conv3', 'bn3', out))

    def res2(self, x: Tensor, stride: int) -> Tensor:
        x1, x2, x3, x4 = F.relu(self.layer('conv1', 'bn1', x, stride)).chunk(4, 1)
        y2 = F.relu(self.layer('convs.0', 'bns.0', x2, 1, self.groups))
        y3 = F.relu(self.layer('convs.1', 'bns.1', x3 + y2, 1, self.groups))
        y4 = F.relu(self.layer('convs.2', 'bns.2', x4 + y3, 1, self.groups))
        return self.layer('conv3', 'bn3', torch.cat((x1, y2, y3, y4), 1))

    def excited(self, out: Tensor) -> Tensor:
        if f'{self.prefix}se.fc1.weight' not in self.state:
            return out
        out = F.relu(out)
        hidden = F.relu(self.linear('se.fc1', out.mean((2, 3))))
        return out * torch.sigmoid(self.linear('se.fc2', hidden))[:, :, None, None]

    def linear(self, name: str, x: Tensor) -> Tensor:
        name = self.prefix + name
        self.used.add(name)
        return F.linear(x, self.state[f'{name}.weight'], self.state[f'{name}.bias'])
