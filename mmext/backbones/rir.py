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

# variant -> (whether its convolutions have ResNet Init, whether its blocks have a shortcut)
VARIANTS = {'cnn': (False, False), 'resnet': (False, True), 'init': (True, False), 'rir': (True, True)}
# depth -> (blocks of each stage, filters of each stage)
DEPTHS = {32: ((5, 5, 5), (16, 32, 64)), 18: ((2, 3, 3), (96, 192, 384))}
# The networks of Tables 5 and 6 and Figure 4, as (variant, blocks, layers of a block).
SIZES = (('rir', 3, 10), ('rir', 6, 5), ('rir', 9, 3), ('rir', 15, 5),
         *((variant, 15, layers) for variant in ('resnet', 'rir') for layers in (2, 4, 6, 8, 10)))


def three_stages(blocks: Sequence[int], filters: Sequence[int]) -> Arch:
    """A network for 32-pixel images with these numbers of blocks and filters in its stages."""
    return Arch('rir', tuple(blocks), tuple(filters), tuple(filters), (1, ) * len(filters), 'conv3x3', filters[0])


class RiRBlock(nn.Module):
    """3x3 convolutions, each followed by norm and ReLU; an optional shortcut is added before the last norm (eq. 1).

    ::

        x --+-- conv bn relu ... conv --(+)-- bn -- relu -->
            +------- [downsample] -------+

    If the block changes the number of channels or has a stride, the shortcut is a 3x3 convolution of all channels, and
    a norm.

    Args:
        layers: Factory for the layers.
        stage: The stage of the block.
        first: Whether this is the first block of the stage.
        count: Number of convolutions.
        half_identity: Whether the convolutions have ResNet Init.
        shortcut: Whether the block has a shortcut.
        projection_norm: Whether the convolution of the shortcut is followed by a norm.
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

    @property
    def branch_end(self) -> nn.Module:
        """The last convolution, after which the shortcut is added if there is one."""
        return getattr(self, f'conv{self.count}')

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, [T,] H, W) -> (N, out_channels, [T,] H, W), smaller by the stride."""
        out = x
        for k in range(1, self.count + 1):
            out = getattr(self, f'conv{k}')(out)
            if k == self.count and self.shortcut:
                out += x if self.downsample is None else self.downsample(x)
            out = self.relu(getattr(self, f'bn{k}')(out))
        return out


@register_backbone
class RiR(Backbone):
    """ResNet in ResNet, and the three networks that the paper compares it with.

    A name such as ``rir_15x6`` is the network of 32 layers with another number of blocks (15, a third of them in each
    stage) and of layers per block (6), as in Tables 5 and 6 and in Figure 4. ``rir_15x2`` is ``rir32``.

    Args:
        depth: 32, or 18 for the wide networks.
        variant: 'cnn' (plain), 'resnet' (with shortcuts), 'init' (with ResNet Init) or 'rir' (with both).
        blocks: Number of blocks in each stage, instead of the depth's.
        filters: Number of filters in each stage, of both streams together, instead of the depth's. It must be even for
            'init' and 'rir'.
        layers_per_block: Number of convolutions in a block.
        projection_norm: Whether the convolution of a shortcut is followed by a norm.
        kwargs: Arguments of ``Backbone``.

    Raises:
        UserError: The depth or variant does not exist, or the number of filters is odd for two streams.
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
        prefix = {variant: 'rir' if variant == 'rir' else f'rir_{variant}' for variant in VARIANTS}
        names: dict[str, dict] = {prefix[variant] + size: dict(depth=depth, variant=variant)
                 for depth, size in ((32, '32'), (18, '18_wide')) for variant in VARIANTS}
        for variant, blocks, layers in SIZES:
            names[f'{prefix[variant]}_{blocks}x{layers}'] = dict(
                depth=32, variant=variant, blocks=(blocks // 3, ) * 3, layers_per_block=layers)
        return names

    def find_arch(self, depth: int) -> Arch:
        blocks, filters = choose('RiR', 'depth', depth, DEPTHS)
        filters = per_stage('filters', self.filters, filters, 3)
        if self.half_identity and any(count % 2 for count in filters):
            raise UserError(f'filters={filters}: the two streams of {self.variant!r} share the filters, so the numbers '
                            'must be even')
        return three_stages(per_stage('blocks', self.blocks, blocks, 3), filters)

    def make_blocks(self, layers: Layers, stage: StagePlan) -> list[nn.Module]:
        return [RiRBlock(layers, stage, i == 0, self.layers_per_block, self.half_identity, self.shortcut,
                         self.projection_norm) for i in range(stage.blocks)]


class ConvBlock(nn.Module):
    """A convolution, a norm and a ReLU."""

    def __init__(self, conv: nn.Module, norm: nn.Module, relu: nn.Module) -> None:
        super().__init__()
        self.conv1, self.bn1, self.relu = conv, norm, relu

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, [T,] H, W) -> (N, out_channels, [T,] H, W), smaller by the stride."""
        return self.relu(self.bn1(self.conv1(x)))


@register_backbone
class AllCNN(Backbone):
    """ALL-CNN-C (Springenberg et al., arXiv 1412.6806, Table 1) with batch norm, plain or with ResNet Init.

    The last of its nine convolutions, the 1x1 convolution to the classes, belongs to the classifier, not the backbone.

    Args:
        depth: 9.
        half_identity: Use ResNet Init in every convolution except the stem's.
        padded: Pad the second 3x3 convolution of stage 3 too. The original does not pad it, so the feature map of that
            stage is two cells smaller than its stride implies and starts one cell inside the image, which would shift a
            detector's anchors.
        kwargs: Arguments of ``Backbone``.
    """

    paper = 'rir'
    family = 'all_cnn_c'
    archs = {9: three_stages((1, 3, 3), (96, 192, 192))}

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
        """Each stage starts with its strided convolution; that of stage 2 keeps the channels of stage 1."""
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
