"""C-ResNet (Liang et al., arXiv 2211.12320): blocks of three or six layers with overlapping shortcuts ("jumpers")."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor, nn

from mmext.backbones.backbone import Backbone
from mmext.backbones.checks import check_flag, choose
from mmext.backbones.layers import Layers, Size
from mmext.backbones.plan import Arch, StagePlan, per_stage
from mmext.backbones.register import register_backbone
from mmext.errors import UserError

INPUT = 0
SOLID, NEEDED, TRANSITION, DASHED = 'solid', 'needed', 'transition', 'dashed'


@dataclass(frozen=True)
class Jumper:
    """A shortcut from the output of layer ``source`` (or the block's ``INPUT``) to the sum after layer ``target``.

    A jumper is either the identity ("solid" in the paper's figures) or a 1x1 convolution ("dashed"). ``kind`` says
    where it is a convolution: 'solid' and 'needed' only where its two ends differ in channels or stride; 'transition'
    in blocks that change channels or stride; 'dashed' in every block. ``weights_of`` is the number (1, 2, ...) of
    another jumper whose convolution this one uses instead of its own.
    """

    source: int
    target: int
    kind: str
    weights_of: int | None = None


@dataclass(frozen=True)
class Variant:
    """The layout of a block.

    ``layers`` gives (kernel size, width as a multiple of the stage's width) of each convolution, and ``strided`` the
    number (1, 2, ...) of the convolution with the stride. ``jumper_bias`` says whether convolutions in jumpers have a
    bias; the published numbers of parameters are reached only with these values.
    """

    layers: tuple[tuple[int, int], ...]
    strided: int
    jumpers: tuple[Jumper, ...]
    jumper_bias: bool = False


BLOCK = ((3, 1), (3, 1), (3, 1))
LONG_BOTTLENECK = ((1, 1), (3, 2), (1, 2), (1, 1), (3, 2), (1, 2))


def cross_block(first: str, second: str) -> Variant:
    """The three-layer Cross-Block (A), from the kinds of its jumpers."""
    return Variant(BLOCK, 1, (Jumper(INPUT, 2, first), Jumper(1, 3, second)), jumper_bias=True)


def cross_bottleneck(first: str, second: str, third: str) -> Variant:
    """The six-layer Cross-Bottleneck (B), from the kinds of its jumpers."""
    return Variant(LONG_BOTTLENECK, 2, (Jumper(INPUT, 4, first), Jumper(2, 5, second), Jumper(3, 6, third)))


def short_bottleneck(middle: int, first: str) -> Variant:
    """The three-layer Cross-Bottleneck (C), from the width of its 3x3 layer and the kind of its first jumper."""
    return Variant(((1, 1), (3, middle), (1, 4)), 2, (Jumper(INPUT, 2, first), Jumper(1, 3, DASHED)))


VARIANTS = {
    'a': cross_block(NEEDED, SOLID),
    'a1': cross_block(NEEDED, TRANSITION),
    'a2': cross_block(DASHED, SOLID),
    'b': cross_bottleneck(DASHED, SOLID, SOLID),
    'b1': cross_bottleneck(NEEDED, SOLID, SOLID),
    'b2': cross_bottleneck(DASHED, DASHED, SOLID),
    'b3': cross_bottleneck(DASHED, DASHED, DASHED),
    'c': short_bottleneck(4, NEEDED),
    'c1': short_bottleneck(1, DASHED),
}
# Differences of the authors' code from the paper, as (index of the jumper, changed fields): the first jumper of B1
# starts at the output of the first layer, and the third jumper of B3 uses the weights of the second.
AUTHORS_WIRING = {'b1': (0, dict(source=1)), 'b3': (2, dict(weights_of=2))}
BLOCKS = {
    (15, 'a1'): (1, 1, 1, 1),
    (18, 'a'): (1, 2, 1, 1),
    **{(27, variant): (2, 2, 2, 2) for variant in ('a', 'a1', 'a2')},
    **{(27, variant): (1, 1, 1, 1) for variant in ('b', 'b1', 'b2', 'b3')},
    **{(27, variant): (2, 2, 2, 2) for variant in ('c', 'c1')},
}


class CrossBlock(nn.Module):
    """out_k = ReLU(BN(conv(out_(k-1)))) + the jumpers that end at k; the addition follows the ReLU.

    ::

        x --+-- P1 --+-- P2 --(+)-- P3 --(+)-->       variant A: out2 = P2(out1) + x', out = P3(out2) + out1
            |        |         |          |
            |        +---------|----------+
            +------------------+

    Args:
        layers: Factory for the layers.
        stage: The stage of the block; its ``width`` is the unit of the widths in ``variant``.
        first: Whether this is the first block of the stage, which has the stride.
        variant: The layers and jumpers of the block.
    """

    def __init__(self, layers: Layers, stage: StagePlan, first: bool, variant: Variant) -> None:
        super().__init__()
        self.variant = variant
        channels = [stage.in_channels if first else stage.out_channels,
                    *(stage.width * units for _, units in variant.layers)]
        stride = stage.stride if first else 1
        self.relu = layers.relu()
        for k, (kernel, _) in enumerate(variant.layers, 1):
            conv = layers.conv(channels[k - 1], channels[k], kernel, stride if k == variant.strided else 1,
                               dilation=stage.dilation if kernel > 1 else 1)
            self.add_module(f'conv{k}', conv)
            self.add_module(f'bn{k}', layers.norm(channels[k]))
        transition = first and (stage.stride != (1, 1) or channels[0] != channels[-1])
        for number, jumper in enumerate(variant.jumpers, 1):
            strided = jumper.source < variant.strided <= jumper.target
            self.make_jumper(layers, f'jumper{number}', jumper.kind, channels[jumper.source], channels[jumper.target],
                             stride if strided else 1, transition)

    def make_jumper(self, layers: Layers, name: str, kind: str, in_channels: int, out_channels: int, stride: Size,
                    transition: bool) -> None:
        """Adds the convolution of a jumper, or None if the jumper is the identity (see ``Jumper.kind``)."""
        changes = in_channels != out_channels or stride not in (1, (1, 1))
        dashed = dict(solid=changes, needed=changes, transition=transition, dashed=True)[kind]
        bias = self.variant.jumper_bias
        self.add_module(name, layers.conv(in_channels, out_channels, 1, stride, bias=bias) if dashed else None)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, [T,] H, W) -> (N, out_channels, [T,] H, W), smaller by the stride."""
        outs = [x]
        for k in range(1, len(self.variant.layers) + 1):
            conv, norm = getattr(self, f'conv{k}'), getattr(self, f'bn{k}')
            out = self.relu(norm(conv(outs[-1])))
            for number, jumper in enumerate(self.variant.jumpers, 1):
                if jumper.target == k:
                    convolution = getattr(self, f'jumper{jumper.weights_of or number}')
                    source = outs[jumper.source]
                    out = out + (source if convolution is None else convolution(source))
            outs.append(out)
        return outs[-1]


@register_backbone
class CResNet(Backbone):
    """C-ResNet: the Cross-Block (A), the six-layer Cross-Bottleneck (B) and the three-layer one (C).

    Args:
        depth: 15 (A1), 18 (A) or 27.
        variant: 'a', 'a1', 'a2', 'b', 'b1', 'b2', 'b3', 'c' or 'c1'.
        blocks: Number of blocks in each stage, instead of the depth's.
        authors_wiring: Wire B1 and B3 as the authors' code does, to load their checkpoints: the first jumper of B1
            starts at the output of the first layer instead of the input of the block; the third jumper of B3 uses the
            weights of the second, and its own weights are unused.
        kwargs: Arguments of ``Backbone``.

    Raises:
        UserError: The depth or variant does not exist, or ``authors_wiring`` is set for a variant that the authors wire
            as the paper does.
    """

    paper = 'cresnet'
    family = 'cresnet'

    def __init__(self, depth: int, variant: str | None = None, blocks: Sequence[int] | None = None,
                 authors_wiring: bool = False, **kwargs) -> None:
        check_flag(authors_wiring=authors_wiring)
        self.block_variant = choose('CResNet', 'variant', variant, VARIANTS)
        self.variant = str(variant)
        self.blocks = blocks
        if authors_wiring:
            if variant not in AUTHORS_WIRING:
                raise UserError(f'authors_wiring: the authors wire {variant!r} as the paper does; it is for '
                                f'{" and ".join(AUTHORS_WIRING)}')
            place, change = AUTHORS_WIRING[variant]
            jumpers = list(self.block_variant.jumpers)
            jumpers[place] = replace(jumpers[place], **change)
            self.block_variant = replace(self.block_variant, jumpers=tuple(jumpers))
        super().__init__(depth, **kwargs)

    @classmethod
    def names(cls) -> dict[str, dict]:
        return {f'cresnet{depth}_{variant}': dict(depth=depth, variant=variant) for depth, variant in BLOCKS}

    def find_arch(self, depth: int) -> Arch:
        depths = {known: blocks for (known, variant), blocks in BLOCKS.items() if variant == self.variant}
        blocks = choose(f'CResNet of variant {self.variant!r}', 'depth', depth, depths)
        widths = (64, 128, 256, 512)
        out_channels = tuple(self.block_variant.layers[-1][1] * width for width in widths)
        return Arch('cross', per_stage('blocks', self.blocks, blocks, 4), widths, out_channels, stem='conv3x3_twice')

    def make_blocks(self, layers: Layers, stage: StagePlan) -> list[nn.Module]:
        return [CrossBlock(layers, stage, i == 0, self.block_variant) for i in range(stage.blocks)]
