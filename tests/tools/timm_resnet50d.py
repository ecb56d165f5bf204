"""timm's ``resnet50d``, written from its definition: a deep stem, and projections with an average pool."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


def conv3x3(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)


class Bottleneck(nn.Module):
    """1x1, 3x3 with the stride, 1x1; a first block projects, and has no pool if it has no stride."""

    def __init__(self, in_channels: int, width: int, stride: int, first: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, width, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample = None
        if first:
            pool = nn.Identity() if stride == 1 else nn.AvgPool2d(2, stride, ceil_mode=True, count_include_pad=False)
            self.downsample = nn.Sequential(pool, nn.Conv2d(in_channels, 4 * width, 1, bias=False),
                                            nn.BatchNorm2d(4 * width))

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = F.relu(self.bn2(self.conv2(out)))
        return F.relu(self.bn3(self.conv3(out)) + (x if self.downsample is None else self.downsample(x)))


class TimmResNet50d(nn.Module):
    """A classifier with the parameter names of timm."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(conv3x3(3, 32, 2), nn.BatchNorm2d(32), nn.ReLU(), conv3x3(32, 32),
                                   nn.BatchNorm2d(32), nn.ReLU(), conv3x3(32, 64))
        self.bn1 = nn.BatchNorm2d(64)
        channels = 64
        for stage, blocks in enumerate((3, 4, 6, 3), 1):
            width, layers = 32 * 2**stage, []
            for block in range(blocks):
                layers.append(Bottleneck(channels, width, 2 if block == 0 and stage > 1 else 1, block == 0))
                channels = 4 * width
            self.add_module(f'layer{stage}', nn.Sequential(*layers))
        self.fc = nn.Linear(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for stage in '1234':
            x = getattr(self, f'layer{stage}')(x)
        return self.fc(x.mean((2, 3)))
