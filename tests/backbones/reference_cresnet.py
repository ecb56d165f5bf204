"""C-ResNet once more, written from section 5 of the definitions alone: its equations, over a state dict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch.nn.functional as F
from torch import Tensor

from tests.backbones.reference import Functions


class CrossReference(Functions):
    """C-ResNet of 32-pixel images as a function.

    Args:
        variant: 'a', 'a1', 'a2', 'b', 'b1', 'b2', 'b3', 'c' or 'c1'.
        blocks: per stage.
        state: parameters and buffers: ``conv{k} bn{k} jumper{n}`` in a block.
        training: as ``nn.Module.training``.
        authors: wire B1 and B3 as the authors' code does.
    """

    def __init__(self, variant: str, blocks: Sequence[int], state: Mapping[str, Tensor], training: bool,
                 authors: bool = False) -> None:
        super().__init__(state, training)
        self.variant, self.blocks, self.authors = variant, blocks, authors
        self.prefix = ''

    def p(self, k: int, x: Tensor, stride: int = 1) -> Tensor:
        """P(.) of the definitions: the k-th convolution, its norm, ReLU."""
        return F.relu(self.bn(f'{self.prefix}bn{k}', self.conv(f'{self.prefix}conv{k}', x, stride)))

    def dashed(self, number: int, x: Tensor, stride: int = 1) -> Tensor:
        return self.conv(f'{self.prefix}jumper{number}', x, stride)

    def __call__(self, x: Tensor) -> list[Tensor]:
        self.prefix = ''
        x = self.p(2, self.p(1, x))
        block = dict(a=self.block_a, b=self.block_b, c=self.block_c)[self.variant[0]]
        features = []
        for stage, blocks in enumerate(self.blocks):
            for i in range(blocks):
                self.prefix = f'layer{stage + 1}.{i}.'
                x = block(x, 64 * 2**stage, 2 if stage and i == 0 else 1)
            features.append(x)
        return features

    def block_a(self, x: Tensor, width: int, stride: int) -> Tensor:
        transition = stride > 1 or x.shape[1] != width
        out1 = self.p(1, x, stride)
        first = self.dashed(1, x, stride) if transition or self.variant == 'a2' else x
        out2 = self.p(2, out1) + first
        second = self.dashed(2, out1) if transition and self.variant == 'a1' else out1
        return self.p(3, out2) + second

    def block_b(self, x: Tensor, width: int, stride: int) -> Tensor:
        out1 = self.p(1, x)
        out2 = self.p(2, out1, stride)
        out3 = self.p(3, out2)
        start = out1 if self.authors and self.variant == 'b1' else x
        first = start if self.variant == 'b1' and width == 64 else self.dashed(1, start, stride)
        out4 = self.p(4, out3) + first
        second = self.dashed(2, out2) if self.variant in ('b2', 'b3') else out2
        out5 = self.p(5, out4) + second
        third = self.dashed(2 if self.authors else 3, out3) if self.variant == 'b3' else out3
        return self.p(6, out5) + third

    def block_c(self, x: Tensor, width: int, stride: int) -> Tensor:
        out1 = self.p(1, x)
        solid = self.variant == 'c' and stride == 1 and x.shape[1] == 4 * width
        out2 = self.p(2, out1, stride) + (x if solid else self.dashed(1, x, stride))
        return self.p(3, out2) + self.dashed(2, out1, stride)
