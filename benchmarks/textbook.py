"""iResNet-50 and iResGroup-50 as one writes them straight from the paper: one file, no options, nothing shared."""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn


class Block(nn.Module):
    """A Start, Middle or End block."""

    def __init__(self, channels: int, width: int, out: int, groups: int, stride: int, role: str, second: bool) -> None:
        super().__init__()
        self.bn0 = nn.BatchNorm2d(channels) if role != 'start' and not second else None
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out) if role != 'middle' else None
        self.relu = nn.ReLU(inplace=True)
        self.role = role
        self.shortcut = nn.Sequential(
            nn.MaxPool2d(3, stride, 1), nn.Conv2d(channels, out, 1, bias=False), nn.BatchNorm2d(out),
        ) if role == 'start' else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out = x
        if self.bn0 is not None:
            out = self.relu(self.bn0(x))
        elif self.role != 'start':
            out = nn.functional.relu(x)
        out = self.relu(self.bn1(self.conv1(out)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.conv3(out)
        if self.role == 'start':
            out = self.bn3(out)
        out = out + self.shortcut(x)
        if self.role == 'end':
            out = self.relu(self.bn3(out))
        return out


class Network(nn.Module):
    """Images (N, 3, H, W) -> logits (N, 1000)."""

    def __init__(self, width: int, expansion: float, groups: tuple[int, ...]) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True))
        blocks, channels = [], 64
        for stage, count in enumerate((3, 4, 6, 3)):
            wide = width * 2**stage
            for i in range(count):
                role = 'start' if i == 0 else 'end' if i == count - 1 else 'middle'
                blocks.append(Block(channels, wide, int(wide * expansion), groups[stage], 2 if i == 0 else 1, role,
                                    i == 1))
                channels = int(wide * expansion)
        self.blocks = nn.Sequential(*blocks)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, 1000)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.pool(self.blocks(self.stem(x))).flatten(1))


NETWORKS = {
    'iresnet50': partial(Network, 64, 4, (1, 1, 1, 1)),
    'iresgroup50': partial(Network, 256, 0.5, (8, 16, 32, 64)),
}
