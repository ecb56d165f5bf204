"""The residual blocks of He et al. (2016) and Duta et al. (2020), which differ only in their wiring."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from torch import Tensor, nn

from mmext.backbones.backbone import Backbone
from mmext.backbones.checks import check_flag
from mmext.backbones.layers import Layers, Size, spatial, temporal
from mmext.backbones.plan import StagePlan
from mmext.errors import UserError


@dataclass(frozen=True)
class Wiring:
    """The positions of norms and activations around the convolutions of a block.

    ``lead`` is applied before the first convolution, and ``tail`` after the addition; each is '', 'relu' or 'bn relu'.
    ``branch_norm`` says whether the branch ends with a norm, before the addition. ``relu_shortcut`` applies the leading
    ReLU to the shortcut as well (see ``ResStage``).
    """

    lead: str = ''
    branch_norm: bool = True
    tail: str = ''
    relu_shortcut: bool = False


POST = Wiring(tail='relu')
PRE = Wiring(lead='bn relu', branch_norm=False)
START = Wiring()
MIDDLE = PRE
END = Wiring(lead='bn relu', branch_norm=False, tail='bn relu')
FIRST_MIDDLE = Wiring(lead='relu', branch_norm=False)
FIRST_END = Wiring(lead='relu', branch_norm=False, tail='bn relu')


class Residual(nn.Module):
    """Base class of residual blocks: x -> tail(branch(lead(x)) + downsample(x)). Subclasses define the branch.

    ::

        x --+-- lead -- conv bn relu ... conv -- [bn] --+-- tail -->
            +------------- [downsample] ---------------+

    Parameter names match the checkpoints of the iResNet authors: ``bn0`` is the leading norm, and the last ``bn``
    either ends the branch or follows the addition.

    Args:
        layers: Factory for the layers.
        stage: The stage of the block.
        first: Whether this is the first block of the stage, which has the stride and the projection.
        wiring: The positions of norms and activations.
    """

    last_norm_name: str

    def __init__(self, layers: Layers, stage: StagePlan, first: bool, wiring: Wiring) -> None:
        super().__init__()
        self.wiring = wiring
        in_channels = stage.in_channels if first else stage.out_channels
        stride = stage.stride if first else 1
        if wiring.lead == 'bn relu':
            self.bn0 = layers.norm(in_channels)
        self.relu = layers.relu()
        self.make_branch(layers, stage, in_channels, stride)
        if wiring.branch_norm or wiring.tail == 'bn relu':
            setattr(self, self.last_norm_name, layers.norm(stage.out_channels))
        self.make_shortcut(layers, stage, in_channels, stride, first and stage.pooled)

    def make_shortcut(self, layers: Layers, stage: StagePlan, in_channels: int, stride: Size, pooled: bool) -> None:
        """Adds the layers of the shortcut."""
        self.downsample = projection(layers, in_channels, stage.out_channels, stride, pooled, stage.averaged)

    def make_branch(self, layers: Layers, stage: StagePlan, in_channels: int, stride: Size) -> None:
        """Adds the convolutions of the branch and the norms between them."""
        raise NotImplementedError

    def branch(self, x: Tensor) -> Tensor:
        """Applies the branch from its first to its last convolution."""
        raise NotImplementedError

    def finish_branch(self, out: Tensor) -> Tensor:
        """Applies what comes between the last convolution of the branch and the addition."""
        return self.last_norm(out) if self.wiring.branch_norm else out

    @property
    def last_norm(self) -> nn.Module:
        """The norm that ends the branch or follows the addition."""
        return getattr(self, self.last_norm_name)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, [T,] H, W) -> (N, out_channels, [T,] H, W), smaller by the stride."""
        shortcut = out = x
        if self.wiring.lead == 'bn relu':
            out = self.relu(self.bn0(x))
        elif self.wiring.lead == 'relu':
            out = self.relu(x, inplace=False)
            if self.wiring.relu_shortcut:
                shortcut = out

        out = self.finish_branch(self.branch(out))

        if self.downsample is not None:
            shortcut = self.downsample(x)
        out += shortcut

        if self.wiring.tail == 'bn relu':
            out = self.last_norm(out)
        if self.wiring.tail:
            out = self.relu(out)
        return out

    @property
    def last_conv(self) -> nn.Module:
        """The last convolution of the branch."""
        return getattr(self, self.last_norm_name.replace('bn', 'conv'))

    @property
    def branch_end(self) -> nn.Module:
        """The layer that ends the branch: its final norm, or its last convolution if it has no norm."""
        return getattr(self, self.last_norm_name) if self.wiring.branch_norm else self.last_conv

    def zero_branch(self) -> None:
        """Makes the branch output zero, through the layer that ends it."""
        nn.init.zeros_(cast(Tensor, self.branch_end.weight))


class BasicBlock(Residual):
    """Two 3x3 convolutions."""

    last_norm_name = 'bn2'

    def make_branch(self, layers: Layers, stage: StagePlan, in_channels: int, stride: Size) -> None:
        self.conv1 = layers.conv(in_channels, stage.width, 3, stride, dilation=stage.dilation)
        self.bn1 = layers.norm(stage.width)
        self.conv2 = layers.conv(stage.width, stage.out_channels, 3, dilation=stage.dilation)

    def branch(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        return self.conv2(out)


class Bottleneck(Residual):
    """1x1, 3x3 with the stride and the groups, 1x1."""

    last_norm_name = 'bn3'

    def make_branch(self, layers: Layers, stage: StagePlan, in_channels: int, stride: Size) -> None:
        self.conv1 = layers.conv(in_channels, stage.width, 1)
        self.bn1 = layers.norm(stage.width)
        self.conv2 = layers.conv(stage.width, stage.width, 3, stride, dilation=stage.dilation, groups=stage.groups)
        self.bn2 = layers.norm(stage.width)
        self.conv3 = layers.conv(stage.width, stage.out_channels, 1)

    def branch(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        return self.conv3(out)


BLOCKS = {'basic': BasicBlock, 'bottleneck': Bottleneck}


class ResidualBackbone(Backbone):
    """Base class of backbones that consist of the blocks above; a subclass defines the wiring of each block.

    Args:
        depth: See ``Backbone``.
        avg_down: Average in the projections: an average pool has the stride (2x2 with stride 2), and the 1x1
            convolution after it has stride 1, as in timm's and mmdet's option of this name (arXiv 1812.01187, Fig. 2c).
        kwargs: Arguments of ``Backbone``.

    Raises:
        UserError: ``avg_down`` is set for a family whose improved projection has a max-pool in that place.
    """

    def __init__(self, depth: int, avg_down: bool = False, **kwargs) -> None:
        check_flag(avg_down=avg_down)
        if avg_down and self.improved_projection:
            raise UserError(f'avg_down: the projections of {type(self).__name__} have a max-pool in the place of the '
                            'average pool; this option is for the other families')
        self.avg_down = avg_down
        super().__init__(depth, **kwargs)

    def wirings(self, blocks: int) -> list[Wiring]:
        """The wiring of each block of a stage."""
        raise NotImplementedError

    def make_blocks(self, layers: Layers, stage: StagePlan) -> list[nn.Module]:
        block = BLOCKS[self.arch.block]
        return [block(layers, stage, i == 0, wiring) for i, wiring in enumerate(self.wirings(stage.blocks))]


def projection(layers: Layers, in_channels: int, out_channels: int, stride: Size, pooled: bool,
               averaged: bool = False) -> nn.Module | None:
    """The layers of a shortcut; None if the shortcut is the identity.

    ``pooled`` selects the improved projection: a 3x3 max-pool has the stride, so that the 1x1 convolution uses every
    pixel; without a change of channels it is the max-pool alone. In 3D the max-pool spans three frames if there is a
    temporal stride, else one.

    ``averaged`` puts an average pool with the stride before the convolution. Without a stride it is an ``nn.Identity``,
    so that parameters have the same names whatever the stride is, and as in timm and mmdet.
    """
    unchanged = spatial(stride) == temporal(stride) == 1
    pool = layers.max_pool((3 if temporal(stride) > 1 else 1, 3), stride) if pooled else None
    if in_channels == out_channels and (pooled or unchanged):
        return pool
    if averaged:
        pool = nn.Identity() if unchanged else layers.mean_pool(stride)
    conv = layers.conv(in_channels, out_channels, 1, stride if pool is None else 1)
    norm = layers.norm(out_channels)
    return nn.Sequential(conv, norm) if pool is None else nn.Sequential(pool, conv, norm)
