"""ResNet (He et al., arXiv 1512.03385), pre-activation ResNet (1603.05027) and ResNeXt (1611.05431).

These are the baselines of the iResNet paper, as in its Tables I, II and VI.
"""

from __future__ import annotations

from mmext.backbones.plan import CIFAR_BLOCKS, basic, bottleneck, cifar_bottleneck
from mmext.backbones.register import register_backbone
from mmext.backbones.residual import POST, PRE, ResidualBackbone, Wiring

DEEP = (50, 101, 152, 200)
RESNET = {
    **{depth: basic(depth) for depth in (18, 34)},
    **{depth: bottleneck(depth) for depth in DEEP},
    **{depth: cifar_bottleneck(depth) for depth in CIFAR_BLOCKS},
}


@register_backbone
class ResNet(ResidualBackbone):
    """ResNet: a norm after every convolution, ReLU after the addition. Depths 164 to 3002 are for CIFAR."""

    paper = 'iresnet'
    family = 'resnet'
    archs = RESNET

    def wirings(self, blocks: int) -> list[Wiring]:
        return [POST] * blocks


@register_backbone
class PreActResNet(ResidualBackbone):
    """Pre-activation ResNet: norm and ReLU before every convolution, and once more after stage 4, if it is built.

    The projection reads the input of the block before norm and ReLU, and has its own norm; the published numbers of
    parameters are reached only this way.
    """

    paper = 'iresnet'
    family = 'preact_resnet'
    archs = {depth: bottleneck(depth) for depth in DEEP}
    closing_norm = True

    def wirings(self, blocks: int) -> list[Wiring]:
        return [PRE] * blocks


@register_backbone
class ResNeXt(ResNet):
    """ResNeXt: ResNet with 32 groups; each has 4 channels (32x4d) in the 3x3 convolutions of stage 1."""

    family = 'resnext'
    archs = {depth: bottleneck(depth, width=128, expansion=2, groups=(32, ) * 4) for depth in DEEP[:3]}

    @classmethod
    def names(cls) -> dict[str, dict]:
        return {f'resnext{depth}_32x4d': dict(depth=depth) for depth in cls.archs}
