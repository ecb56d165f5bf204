"""ResNet in ResNet (Targ et al., arXiv 1603.08029): residual and transient streams in one dense convolution."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from mmext.backbones.backbone import Backbone
from mmext.backbones.checks import check_flag, check_range, choose
from mmext.backbones.layers import Layers
from mmext.backbones.plan import Arch, StagePlan, per_stage
from mmext.backbones.register import register_backbone
from mmext.errors import UserError

# What a variant has: convolutions with ResNet Init inside, and a shortcut around the block.
VARIANTS = {'cnn': (False, False), 'resnet': (False, True), 'init': (True, False), 'rir': (True, True)}
# depth -> blocks and filters of each stage.
DEPTHS = {32: ((5, 5, 5), (16, 32, 64)), 18: ((2, 3, 3), (96, 192, 384))}


def columns(blocks: Sequence[int], filters: Sequence[int]) -> Arch:
    return Arch('rir', tuple(blocks), tuple(filters), tuple(filters), (1, ) * len(filters), 'conv3x3', filters[0])


class RiRBlock(nn.Module):
    """3x3 convolutions, each followed by norm and ReLU, and perhaps a shortcut, added before the last norm (eq. 1).

    ::

        x --+-- conv bn relu ... conv --(+)-- bn -- relu -->
            +------- [downsample] -------+

    Where the block widens or strides, the shortcut is a 3x3 convolution of all channels, and a norm.

    Args:
        layers: makes the layers.
        stage: the stage that the block stands in.
        first: whether it is the stage's first block.
        count: of the convolutions.
        half_identity: ResNet Init in the convolutions.
        shortcut: whether there is one.
        projection_norm: whether a norm follows the shortcut's convolution.
    """

    def __init__(self, layers: Layers, stage: StagePlan, first: bool, count: int, half_identity: bool, shortcut: bool,
                 projection_norm: bool) -> None:
        super().__init__()
        self.count = count
        self.shortcut = shortcut
        channels, stride = (stage.in_channels, stage.stride) if first else (stage.out_channels, (1, 1))
        self.downsample = None
        if shortcut and (channels != stage.out_channels or stride != (1, 1)):
            self.downsample = nn.Sequential(layers.conv(channels, stage.out_channels, 3, stride))
            if projection_norm:
                self.downsample.append(layers.norm(stage.out_channels))
        self.relu = layers.relu()
        for k in range(1, count + 1):
            self.add_module(f'conv{k}', layers.conv(channels, stage.out_channels, 3, stride if k == 1 else 1,
                                                    dilation=stage.dilation, half_identity=half_identity))
            self.add_module(f'bn{k}', layers.norm(stage.out_channels))
            channels = stage.out_channels

    def forward(self, x: Tensor) -> Tensor:
        out = x
        for k in range(1, self.count + 1):
            out = getattr(self, f'conv{k}')(out)
            if k == self.count and self.shortcut:
                out += x if self.downsample is None else self.downsample(x)
            out = self.relu(getattr(self, f'bn{k}')(out))
        return out


@register_backbone
class RiR(Backbone):
    """ResNet in ResNet and the three networks that it is compared with.

    Args:
        depth: 32, or 18 for the wide networks; as for every backbone, like the other arguments (see ``Backbone``).
        variant: 'cnn' (plain), 'resnet' (shortcuts around blocks), 'init' (ResNet Init inside) or 'rir' (both).
        blocks: per stage, in place of the depth's.
        filters: per stage, both streams together, in place of the depth's; even for 'init' and 'rir'.
        layers_per_block: convolutions in a block.
        projection_norm: a norm after a shortcut's convolution.

    Raises:
        UserError: a depth or variant that there is not, or an odd number of filters for two streams.
    """

    paper = 'rir'
    family = 'rir'

    def __init__(self, depth: int = 32, variant: str = 'rir', blocks: Sequence[int] | None = None,
                 filters: Sequence[int] | None = None, layers_per_block: int = 2, projection_norm: bool = True,
                 **kwargs) -> None:
        check_flag(projection_norm=projection_norm)
        self.half_identity, self.shortcut = choose('RiR', 'variant', variant, VARIANTS)
        check_range('layers_per_block', layers_per_block, 1, 100)
        self.variant = variant
        self.blocks, self.filters = blocks, filters
        self.layers_per_block = layers_per_block
        self.projection_norm = projection_norm
        super().__init__(depth, **kwargs)

    @classmethod
    def names(cls) -> dict[str, dict]:
        return {('rir' if variant == 'rir' else f'rir_{variant}') + size: dict(depth=depth, variant=variant)
                for depth, size in ((32, '32'), (18, '18_wide')) for variant in VARIANTS}

    def find_arch(self, depth: int) -> Arch:
        blocks, filters = choose('RiR', 'depth', depth, DEPTHS)
        filters = per_stage('filters', self.filters, filters, 3)
        if self.half_identity and any(count % 2 for count in filters):
            raise UserError(f'filters={filters}: the two streams of {self.variant!r} share them, so they must be even')
        return columns(per_stage('blocks', self.blocks, blocks, 3), filters)

    def make_blocks(self, layers: Layers, stage: StagePlan) -> list[nn.Module]:
        return [RiRBlock(layers, stage, i == 0, self.layers_per_block, self.half_identity, self.shortcut,
                         self.projection_norm) for i in range(stage.blocks)]


class ConvBlock(nn.Module):
    """Convolution, norm, ReLU."""

    def __init__(self, conv: nn.Module, norm: nn.Module, relu: nn.Module) -> None:
        super().__init__()
        self.conv1, self.bn1, self.relu = conv, norm, relu

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.bn1(self.conv1(x)))


@register_backbone
class AllCNN(Backbone):
    """ALL-CNN-C (Springenberg et al., arXiv 1412.6806, Table 1) with batch norm, plain or with ResNet Init.

    The last of its nine convolutions, 1x1 to the classes, is the classifier's.

    Args:
        depth: 9; as for every backbone, like the other arguments (see ``Backbone``).
        half_identity: ResNet Init, in every convolution but the stem's.
        padded: pad the second 3x3 convolution of stage 3 too. The original does not, so that the stage's map is two
            cells smaller than its stride says and begins a cell inside the image; a detector's anchors would be off.
    """

    paper = 'rir'
    family = 'all_cnn_c'
    archs = {9: columns((1, 3, 3), (96, 192, 192))}

    def __init__(self, depth: int = 9, half_identity: bool = False, padded: bool = False, **kwargs) -> None:
        check_flag(half_identity=half_identity, padded=padded)
        self.half_identity = half_identity
        self.padded = padded
        super().__init__(depth, **kwargs)
        if len(self.stages) == 3 and not padded:
            self.smallest_input = (2 * self.stages[-1].dilation + 1) * self.reductions[-1][1]

    @classmethod
    def names(cls) -> dict[str, dict]:
        return {'all_cnn_c': dict(depth=9), 'all_cnn_c_init': dict(depth=9, half_identity=True)}

    def make_blocks(self, layers: Layers, stage: StagePlan) -> list[nn.Module]:
        """Each stage begins with the convolution that strides; stage 2's still has the channels before it."""
        last = stage.blocks_before == 4
        blocks = []
        channels = stage.in_channels
        for i in range(stage.blocks):
            out_channels = channels if stage.blocks_before == 1 and i == 0 else stage.out_channels
            conv = layers.conv(channels, out_channels, 1 if last and i == 2 else 3, stage.stride if i == 0 else 1,
                               dilation=stage.dilation, padded=self.padded or not (last and i == 1),
                               half_identity=self.half_identity)
            blocks.append(ConvBlock(conv, layers.norm(out_channels), layers.relu()))
            channels = out_channels
        return blocks
