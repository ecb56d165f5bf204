"""C-ResNet's authors' networks for 32-pixel images in small: their parameter names and wiring, in our own words.

The facts are those of section 5 of the definitions: which jumpers there are, where they start, which is never used.
"""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

# Network -> variant, blocks of each stage.
NETWORKS = {
    'cresnet15_a1': ('a1', (1, 1, 1, 1)),
    'cresnet18_a': ('a', (1, 2, 1, 1)),
    **{f'cresnet27_{variant}': (variant, (2, 2, 2, 2)) for variant in ('a', 'a1', 'a2', 'c', 'c1')},
    **{f'cresnet27_{variant}': (variant, (1, 1, 1, 1)) for variant in ('b', 'b1', 'b2', 'b3')},
    'resnet18': ('basic', (2, 2, 2, 2)),
    'resnet34': ('basic', (3, 4, 6, 3)),
    'resnet50': ('bottleneck', (3, 4, 6, 3)),
}


class Block(nn.Module):
    """conv1 bn1, conv2 bn2 ...; ``widths`` in channels, ``kernels`` likewise one a layer, ``strided`` counts from 1."""

    def __init__(self, channels: int, widths: tuple[int, ...], kernels: tuple[int, ...], strided: int,
                 stride: int) -> None:
        super().__init__()
        self.changes = stride != 1 or channels != widths[-1]
        for k, (before, width, kernel) in enumerate(zip((channels, *widths), widths, kernels), 1):
            conv = nn.Conv2d(before, width, kernel, stride if k == strided else 1, kernel // 2, bias=False)
            self.add_module(f'conv{k}', conv)
            self.add_module(f'bn{k}', nn.BatchNorm2d(width))

    def linear(self, k: int, x: Tensor) -> Tensor:
        return getattr(self, f'bn{k}')(getattr(self, f'conv{k}')(x))

    def layer(self, k: int, x: Tensor) -> Tensor:
        return F.relu(self.linear(k, x))


class BlockA(Block):
    def __init__(self, variant: str, channels: int, p: int, stride: int) -> None:
        super().__init__(channels, (p, p, p), (3, 3, 3), 1, stride)
        self.variant = variant
        if variant == 'a2':
            self.shortcut_1 = nn.Sequential(nn.Conv2d(channels, p, 1, stride))
        elif self.changes:
            self.conv4 = nn.Conv2d(channels, p, 1, stride)
            if variant == 'a1':
                self.conv1tov3 = nn.Conv2d(p, p, 1)

    def forward(self, x: Tensor) -> Tensor:
        out1 = self.layer(1, x)
        if self.variant == 'a2':
            x = self.shortcut_1(x)
        elif self.changes:
            x = self.conv4(x)
        out2 = self.layer(2, out1) + x
        return self.layer(3, out2) + (self.conv1tov3(out1) if self.variant == 'a1' and self.changes else out1)


class BlockB(Block):
    def __init__(self, variant: str, channels: int, p: int, stride: int) -> None:
        super().__init__(channels, (p, 2 * p, 2 * p, p, 2 * p, 2 * p), (1, 3, 1, 1, 3, 1), 2, stride)
        self.variant, self.strides = variant, stride != 1
        if variant == 'b1':
            if self.strides:
                self.shortcut_1 = nn.Conv2d(p, p, 1, stride, bias=False)
        else:
            self.shortcut_1 = nn.Conv2d(channels, p, 1, stride, bias=False)
        second = nn.Conv2d(2 * p, 2 * p, 1, bias=False)
        if variant == 'b2':
            self.shortcut_2 = nn.Sequential(second)
        if variant == 'b3':
            self.shortcut_2 = second
            self.shortcut_3 = nn.Conv2d(2 * p, 2 * p, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out1 = self.layer(1, x)
        out2 = self.layer(2, out1)
        out3 = self.layer(3, out2)
        if self.variant == 'b1':
            out4 = self.layer(4, out3) + (self.shortcut_1(out1) if self.strides else out1)
        else:
            out4 = self.layer(4, out3) + self.shortcut_1(x)
        out5 = self.layer(5, out4) + (self.shortcut_2(out2) if self.variant in ('b2', 'b3') else out2)
        return self.layer(6, out5) + (self.shortcut_2(out3) if self.variant == 'b3' else out3)  # the third is idle


class BlockC(Block):
    def __init__(self, variant: str, channels: int, p: int, stride: int) -> None:
        middle = p if variant == 'c1' else 4 * p
        super().__init__(channels, (p, middle, 4 * p), (1, 3, 1), 2, stride)
        first = nn.Conv2d(channels, middle, 1, stride, bias=False)
        self.shortcut_1 = first
        if variant == 'c':
            self.shortcut_1 = nn.Sequential(first) if self.changes else nn.Sequential()
        self.shortcut_2 = nn.Conv2d(p, 4 * p, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out1 = self.layer(1, x)
        out2 = self.layer(2, out1) + self.shortcut_1(x)
        return self.layer(3, out2) + self.shortcut_2(out1)


class Residual(Block):
    def __init__(self, variant: str, channels: int, p: int, stride: int) -> None:
        self.count = dict(basic=2, bottleneck=3)[variant]
        widths, kernels = ((p, p), (3, 3)) if variant == 'basic' else ((p, p, 4 * p), (1, 3, 1))
        super().__init__(channels, widths, kernels, self.count - 1, stride)
        self.shortcut = nn.Sequential()
        if self.changes:
            self.shortcut = nn.Sequential(nn.Conv2d(channels, widths[-1], 1, stride, bias=False),
                                          nn.BatchNorm2d(widths[-1]))

    def forward(self, x: Tensor) -> Tensor:
        out = x
        for k in range(1, self.count):
            out = self.layer(k, out)
        return F.relu(self.linear(self.count, out) + self.shortcut(x))


BLOCKS: dict[str, tuple[Callable[..., nn.Module], int]] = {  # by the variant's letter; and the output's width over p
    'a': (BlockA, 1), 'b': (BlockB, 2), 'c': (BlockC, 4), 'basic': (Residual, 1), 'bottleneck': (Residual, 4)}


class Authors(nn.Module):
    """Stem of two convolutions, four stages, mean, ``linear``."""

    def __init__(self, name: str, num_classes: int) -> None:
        super().__init__()
        variant, blocks = NETWORKS[name]
        self.conv0 = nn.Sequential(nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU())
        self.conv1, self.bn1 = nn.Conv2d(64, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64)
        make, expansion = BLOCKS.get(variant) or BLOCKS[variant[0]]
        channels = 64
        for stage, count in enumerate(blocks):
            layers = []
            for i in range(count):
                layers.append(make(variant, channels, 64 * 2**stage, 2 if stage and i == 0 else 1))
                channels = 64 * 2**stage * expansion
            self.add_module(f'layer{stage + 1}', nn.Sequential(*layers))
        self.linear = nn.Linear(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(self.conv0(x))))
        for stage in range(1, 5):
            x = getattr(self, f'layer{stage}')(x)
        return self.linear(x.mean((2, 3)))
