"""The iResNet paper's networks once more, written from it alone: a textbook module and a function over a state dict.

Neither uses anything of mmext, so that a mistake in a block's wiring can't be in both. The other papers' networks are
in the files beside this one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Net:
    """What papers.md says of one network. ``wiring``: 'post' (ResNet), 'pre' (PreAct) or 'stage' (ResStage).

    ``averaged``: an average pool has the stride of projections. ``deep``: the stem is three 3x3 convolutions.
    """

    wiring: str
    blocks: tuple[int, ...]
    groups: tuple[int, ...] = (1, 1, 1, 1)
    improved: bool = False
    basic: bool = False
    cifar: bool = False
    averaged: bool = False
    deep: bool = False


FIFTY = (3, 4, 6, 3)
GROWING, FIXED = (8, 16, 32, 64), (64, 64, 64, 64)
NETS = {
    'resnet18': Net('post', (2, 2, 2, 2), basic=True),
    'resnet50': Net('post', FIFTY),
    'preact_resnet50': Net('pre', FIFTY),
    'resstage50': Net('stage', FIFTY),
    'resmax50': Net('post', FIFTY, improved=True),
    'iresnet18': Net('stage', (2, 2, 2, 2), improved=True, basic=True),
    'iresnet34': Net('stage', FIFTY, improved=True, basic=True),
    'iresnet50': Net('stage', FIFTY, improved=True),
    'resnext50_32x4d': Net('post', FIFTY, (32, ) * 4),
    'resgroup50': Net('post', FIFTY, GROWING),
    'resgroupfix50': Net('post', FIFTY, FIXED),
    'iresgroup50': Net('stage', FIFTY, GROWING, improved=True),
    'iresgroupfix50': Net('stage', FIFTY, FIXED, improved=True),
    'resnet50_avgdown': Net('post', FIFTY, averaged=True),
    'resnet50d': Net('post', FIFTY, averaged=True, deep=True),
    'preact_resnet110_cifar': Net('pre', (18, 18, 18), basic=True, cifar=True),
    'preact_resnet164_cifar': Net('pre', (18, 18, 18), cifar=True),
    'resnet164_cifar': Net('post', (18, 18, 18), cifar=True),
    'iresnet164_cifar': Net('stage', (18, 18, 18), improved=True, cifar=True),
}


class Functions:
    """The layers of every network here, as functions of the tensors in ``state``.

    Args:
        state: a network's parameters and buffers by name; in training the buffers are updated.
        training: as ``nn.Module.training``.

    ``used`` has the names of the layers that were called.
    """

    def __init__(self, state: Mapping[str, Tensor], training: bool) -> None:
        self.state, self.training = state, training
        self.used: set[str] = set()

    def conv(self, name: str, x: Tensor, stride: int = 1, dilation: int = 1, groups: int = 1) -> Tensor:
        self.used.add(name)
        weight = self.state[f'{name}.weight']
        return F.conv2d(x, weight, self.state.get(f'{name}.bias'), stride, dilation * (weight.shape[-1] // 2), dilation,
                        groups)

    def bn(self, name: str, x: Tensor) -> Tensor:
        self.used.add(name)
        get = self.state.get
        if self.training:
            get(f'{name}.num_batches_tracked').add_(1)
        return F.batch_norm(x, get(f'{name}.running_mean'), get(f'{name}.running_var'), get(f'{name}.weight'),
                            get(f'{name}.bias'), self.training, 0.1, 1e-5)


class Reference(Functions):
    """A network as a function: one tensor of ``state`` after another, in the order of the paper's figures.

    Args:
        net: the network.
        state: its parameters and buffers by the authors' names; in training the buffers are updated.
        training: as ``nn.Module.training``.
        strides, dilations: per stage, counted after stem and pool.
        inplace_relu: as in the authors' code, the ReLU of a block without leading norm overwrites the block's input.
    """

    def __init__(self, net: Net, state: Mapping[str, Tensor], training: bool, strides: Sequence[int] = (1, 2, 2, 2),
                 dilations: Sequence[int] = (1, 1, 1, 1), inplace_relu: bool = False) -> None:
        super().__init__(state, training)
        self.net = net
        self.strides, self.dilations, self.inplace_relu = strides, dilations, inplace_relu

    def __call__(self, x: Tensor) -> list[Tensor]:
        x = F.relu(self.bn('bn1', self.conv('conv1', x, 1 if self.net.cifar else 2)))
        for k in (2, 3) if self.net.deep else ():
            x = F.relu(self.bn(f'bn{k}', self.conv(f'conv{k}', x)))
        if not self.net.cifar and not self.net.improved:
            x = F.max_pool2d(x, 3, 2, 1)
        features = []
        for stage, (blocks, stride) in enumerate(zip(self.net.blocks, self.strides), 1):
            if self.net.improved and stage == 1 and not self.net.cifar:
                stride *= 2
            for i in range(blocks):
                x = self.block(x, stage, i, blocks, stride if i == 0 else 1)
            features.append(x)
        if self.net.wiring == 'pre':
            features[-1] = F.relu(self.bn('bn_last', x))
        return features

    def block(self, x: Tensor, stage: int, i: int, blocks: int, stride: int) -> Tensor:
        name = f'layer{stage}.{i}'
        staged = self.net.wiring == 'stage'
        out = x
        if self.net.wiring == 'pre' or staged and i > 1:
            out = F.relu(self.bn(f'{name}.bn0', x))
        elif staged and i == 1:
            out = F.relu_(x) if self.inplace_relu else F.relu(x)

        last = 2 if self.net.basic else 3
        for k in range(1, last + 1):
            carries_stride = k == (1 if self.net.basic else 2)
            wide = self.state[f'{name}.conv{k}.weight'].shape[-1] == 3
            out = self.conv(f'{name}.conv{k}', out, stride if carries_stride else 1,
                            self.dilations[stage - 1] if wide else 1,
                            self.net.groups[stage - 1] if carries_stride else 1)
            if k < last:
                out = F.relu(self.bn(f'{name}.bn{k}', out))
        if self.net.wiring == 'post' or staged and i == 0:
            out = self.bn(f'{name}.bn{last}', out)

        out = out + (self.shortcut(x, name, stage, stride, out.shape[1]) if i == 0 else x)
        if self.net.wiring == 'post':
            return F.relu(out)
        if staged and i == blocks - 1:
            return F.relu(self.bn(f'{name}.bn{last}', out))
        return out

    def shortcut(self, x: Tensor, name: str, stage: int, stride: int, channels: int) -> Tensor:
        if self.net.improved and not (self.net.cifar and stage == 1):
            x = F.max_pool2d(x, 3, stride, 1)
            if x.shape[1] == channels:
                return x
            return self.bn(f'{name}.downsample.2', self.conv(f'{name}.downsample.1', x))
        if x.shape[1] == channels and stride == 1:
            return x
        if self.net.averaged:
            x = F.avg_pool2d(x, stride, ceil_mode=True, count_include_pad=False)
            return self.bn(f'{name}.downsample.2', self.conv(f'{name}.downsample.1', x))
        return self.bn(f'{name}.downsample.1', self.conv(f'{name}.downsample.0', x, stride))


class TextbookBlock(nn.Module):
    """The bottleneck of ResNet-50."""

    def __init__(self, in_channels: int, width: int, stride: int, project: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample = nn.Identity()
        if project:
            self.downsample = nn.Sequential(nn.Conv2d(in_channels, 4 * width, 1, stride, bias=False),
                                            nn.BatchNorm2d(4 * width))

    def forward(self, x: Tensor) -> Tensor:
        out = torch.relu(self.bn1(self.conv1(x)))
        out = torch.relu(self.bn2(self.conv2(out)))
        return torch.relu(self.bn3(self.conv3(out)) + self.downsample(x))


class TextbookResNet50(nn.Module):
    """ResNet-50 without its classifier, as any textbook has it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = self.stage(64, 64, 3, 1)
        self.layer2 = self.stage(256, 128, 4, 2)
        self.layer3 = self.stage(512, 256, 6, 2)
        self.layer4 = self.stage(1024, 512, 3, 2)

    @staticmethod
    def stage(in_channels: int, width: int, blocks: int, stride: int) -> nn.Sequential:
        rest = [TextbookBlock(4 * width, width, 1, False) for _ in range(blocks - 1)]
        return nn.Sequential(TextbookBlock(in_channels, width, stride, True), *rest)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = F.max_pool2d(torch.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        layer1 = self.layer1(x)
        layer2 = self.layer2(layer1)
        layer3 = self.layer3(layer2)
        return layer1, layer2, layer3, self.layer4(layer3)
