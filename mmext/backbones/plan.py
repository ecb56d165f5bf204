"""The layout of a network as data, without torch: from the depth to the blocks, widths and strides of each stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmext.backbones.checks import LARGEST, is_whole
from mmext.errors import UserError

IMAGENET_BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
    302: (4, 34, 58, 4),
    404: (4, 46, 80, 4),
}
CIFAR_WIDTHS = (16, 32, 64)
CIFAR_BLOCKS = {
    164: (18, 18, 18),
    1001: (111, 111, 111),
    2000: (222, 222, 222),
    3002: (333, 334, 333),
}


@dataclass(frozen=True)
class Stem:
    """The layers before the first stage.

    ``kernels`` are the spatial kernel sizes of the convolutions, ``stride`` is the stride of the first one, ``pool``
    says whether a 3x3 max-pool with stride 2 follows, and ``temporal_kernel`` is the temporal kernel size of the first
    convolution in 3D. The last convolution has the stem's channels, and the others divide them by ``narrowing``.
    """

    kernels: tuple[int, ...]
    stride: int = 1
    pool: bool = False
    temporal_kernel: int = 1
    narrowing: int = 1


STEMS = {
    'conv7x7': Stem((7, ), stride=2, pool=True, temporal_kernel=5),
    'deep': Stem((3, 3, 3), stride=2, pool=True, temporal_kernel=3, narrowing=2),
    'conv3x3': Stem((3, ), temporal_kernel=3),
    'conv1x1': Stem((1, )),
    'conv3x3_twice': Stem((3, 3), temporal_kernel=3),
}


@dataclass(frozen=True)
class Arch:
    """The layout that a depth stands for: one row of a family's table.

    ``block`` is the kind of block. There is one number per stage of: ``blocks``, the number of blocks; ``widths``, the
    channels of the 3x3 convolutions; ``out_channels``, the channels of the stage's output; ``groups``, the groups of
    the 3x3 convolutions. ``stem`` is a key of ``STEMS``.
    """

    block: str
    blocks: tuple[int, ...]
    widths: tuple[int, ...]
    out_channels: tuple[int, ...]
    groups: tuple[int, ...] = (1, 1, 1, 1)
    stem: str = 'conv7x7'
    stem_channels: int = 64


@dataclass(frozen=True)
class StagePlan:
    """The layout of one stage.

    ``stride`` is the (temporal, spatial) stride of the first block. ``pooled`` says whether the first block has the
    improved projection, in which a 3x3 max-pool has the stride, and ``averaged`` whether an average pool has it.
    ``blocks_before`` is the number of blocks in earlier stages. ``temporal_kernel`` is the temporal kernel size of 3x3
    convolutions in 3D.
    """

    blocks: int
    blocks_before: int
    in_channels: int
    width: int
    out_channels: int
    groups: int
    stride: tuple[int, int]
    dilation: int
    pooled: bool
    temporal_kernel: int = 3
    averaged: bool = False


def basic(depth: int) -> Arch:
    """A network for ImageNet (depth 18 or 34) whose blocks have two 3x3 convolutions."""
    widths = (64, 128, 256, 512)
    return Arch('basic', IMAGENET_BLOCKS[depth], widths, widths)


def bottleneck(depth: int, width: int = 64, expansion: float = 4, groups: Sequence[int] = (1, 1, 1, 1)) -> Arch:
    """A network for ImageNet whose blocks are 1x1, 3x3 and 1x1 convolutions.

    Args:
        depth: A key of ``IMAGENET_BLOCKS``.
        width: Channels of the 3x3 convolutions in stage 1; doubled in each further stage.
        expansion: Ratio of a stage's output channels to its width.
        groups: Groups of the 3x3 convolutions of each stage.
    """
    widths = tuple(width * 2**stage for stage in range(4))
    return Arch('bottleneck', IMAGENET_BLOCKS[depth], widths, tuple(int(w * expansion) for w in widths), tuple(groups))


def cifar_bottleneck(depth: int) -> Arch:
    """A network of three stages for 32-pixel images (iResNet paper, Table VI)."""
    return Arch('bottleneck', CIFAR_BLOCKS[depth], CIFAR_WIDTHS, (64, 128, 256), (1, 1, 1), 'conv3x3', 16)


def cifar_basic(depth: int) -> Arch:
    """A network of three stages for 32-pixel images whose blocks have two 3x3 convolutions (He et al., 1512.03385)."""
    return Arch('basic', ((depth - 2) // 6, ) * 3, CIFAR_WIDTHS, CIFAR_WIDTHS, (1, 1, 1), 'conv3x3', 16)


def plan_stages(arch: Arch, *, stem: str, num_stages: int, strides: Sequence[int], temporal_strides: Sequence[int],
                temporal_kernels: Sequence[int], dilations: Sequence[int],
                improved_projection: bool, avg_down: bool = False) -> tuple[StagePlan, ...]:
    """Plans the stages of a network.

    With the improved projection the stem has no max-pool; its stride moves into the first block of stage 1, so that
    ``strides`` means the same in every family. A projection has a max-pool wherever the stride in the paper is 2, even
    if ``strides`` sets it to 1 (as SSD300 does in stage 3).
    """
    folded = improved_projection and STEMS[stem].pool
    in_channels = (arch.stem_channels, *arch.out_channels)
    return tuple(
        StagePlan(
            blocks=arch.blocks[i], blocks_before=sum(arch.blocks[:i]), in_channels=in_channels[i],
            width=arch.widths[i], out_channels=arch.out_channels[i], groups=arch.groups[i], dilation=dilations[i],
            stride=(temporal_strides[i], strides[i] * 2 if folded and i == 0 else strides[i]),
            pooled=improved_projection and (i > 0 or folded),
            temporal_kernel=temporal_kernels[i], averaged=avg_down) for i in range(num_stages))


def per_stage(name: str, given: Sequence[int] | None, default: Sequence[int], num_stages: int) -> tuple[int, ...]:
    """Checks an argument that has one positive integer per stage; ``default`` is used if ``given`` is None.

    Raises:
        UserError: There are not as many numbers as stages, or one of them is not a positive integer.
    """
    if given is None:
        return tuple(default[:num_stages])
    if not (isinstance(given, Sequence) and len(given) == num_stages
            and all(is_whole(number) and 0 < number <= LARGEST for number in given)):
        raise UserError(f'{name}={given!r}: need {num_stages} positive integers up to {LARGEST}, one for each stage')
    return tuple(given)
