"""ResStage, ResMax and iResNet (Duta et al., arXiv 2004.04989, sections III-A and III-B)."""

from __future__ import annotations

from dataclasses import replace

from mmext.backbones.checks import check_flag
from mmext.backbones.plan import CIFAR_BLOCKS, IMAGENET_BLOCKS, basic, bottleneck, cifar_bottleneck
from mmext.backbones.register import register_backbone
from mmext.backbones.residual import END, FIRST_END, FIRST_MIDDLE, MIDDLE, START, ResidualBackbone, Wiring
from mmext.backbones.resnet import DEEP, ResNet
from mmext.errors import UserError


def resstage(blocks: int) -> list[Wiring]:
    """The wiring of each block of a ResStage: a Start, Middle blocks, an End; the second block has no leading norm.

    Raises:
        UserError: There are fewer than two blocks; a stage has at least a Start and an End block.
    """
    if blocks < 2:
        raise UserError(f'a stage of {blocks} block(s): ResStage needs at least two, a Start and an End')
    if blocks == 2:
        return [START, FIRST_END]
    return [START, FIRST_MIDDLE, *[MIDDLE] * (blocks - 3), END]


@register_backbone
class ResStage(ResidualBackbone):
    """ResStage: the wiring of a block depends on its position, so the main path has one ReLU per stage (Fig. 1c).

    Args:
        depth: See ``Backbone``.
        relu_shortcut: True reproduces the authors' code, which applies the ReLU to the input of the first Middle block
            in place and thereby also to its shortcut; their checkpoints were trained this way. False follows the paper.
        kwargs: Arguments of ``Backbone``.
    """

    paper = 'iresnet'
    family = 'resstage'
    archs = {
        **{depth: bottleneck(depth) for depth in DEEP},
        **{depth: cifar_bottleneck(depth) for depth in (164, 1001)},
    }

    def __init__(self, depth: int, relu_shortcut: bool = False, **kwargs) -> None:
        check_flag(relu_shortcut=relu_shortcut)
        self.relu_shortcut = relu_shortcut
        super().__init__(depth, **kwargs)

    def wirings(self, blocks: int) -> list[Wiring]:
        roles = resstage(blocks)
        roles[1] = replace(roles[1], relu_shortcut=self.relu_shortcut)
        return roles


@register_backbone
class ResMax(ResNet):
    """ResNet with the improved projection (Fig. 2), whose max-pool in stage 1 replaces the one of the stem."""

    family = 'resmax'
    archs = {50: bottleneck(50)}
    improved_projection = True


@register_backbone
class IResNet(ResStage):
    """ResStage with the improved projection. Depths 164 to 3002 are the networks for CIFAR."""

    family = 'iresnet'
    archs = {
        **{depth: basic(depth) for depth in (18, 34)},
        **{depth: bottleneck(depth) for depth in IMAGENET_BLOCKS if depth >= 50},
        **{depth: cifar_bottleneck(depth) for depth in CIFAR_BLOCKS},
    }
    improved_projection = True
