"""ResNet (He et al., arXiv 1512.03385), pre-activation ResNet (1603.05027) and ResNeXt (1611.05431).

These are the baselines of the iResNet paper, as in its Tables I, II and VI.
"""

from __future__ import annotations

from mmext.backbones.plan import CIFAR_BLOCKS, basic, bottleneck, cifar_basic, cifar_bottleneck
from mmext.backbones.register import register_backbone
from mmext.backbones.residual import POST, PRE, ResidualBackbone, Wiring

DEEP = (50, 101, 152, 200)
RESNET = {
    **{depth: basic(depth) for depth in (18, 34)},
    **{depth: bottleneck(depth) for depth in (*DEEP, 302, 404)},
    **{depth: cifar_bottleneck(depth) for depth in CIFAR_BLOCKS},
}


@register_backbone
class ResNet(ResidualBackbone):
    """ResNet: a norm after every convolution, ReLU after the addition. Depths 164, 1001, 2000 and 3002 are for CIFAR.

    ``resnet50_avgdown`` is "ResNet [7]" of the iResNet paper's Table IV. ``resnet50d`` is timm's (arXiv 1812.01187).
    """

    paper = 'iresnet'
    family = 'resnet'
    archs = RESNET

    @classmethod
    def names(cls) -> dict[str, dict]:
        names = super().names()
        if cls.family == 'resnet':
            names |= {'resnet50_avgdown': dict(depth=50, avg_down=True),
                      'resnet50d': dict(depth=50, stem='deep', avg_down=True)}
        return names

    def wirings(self, blocks: int) -> list[Wiring]:
        return [POST] * blocks


@register_backbone
class PreActResNet(ResidualBackbone):
    """Pre-activation ResNet: norm and ReLU before every convolution, and once more after the last stage, if it is
    built.

    Depths 110 (blocks of two 3x3 convolutions), 164 and 1001 are for CIFAR. The projection reads the input of the block
    before norm and ReLU, and has its own norm; the published numbers of parameters are reached only this way.
    """

    paper = 'iresnet'
    family = 'preact_resnet'
    archs = {
        **{depth: bottleneck(depth) for depth in DEEP},
        110: cifar_basic(110),
        **{depth: cifar_bottleneck(depth) for depth in (164, 1001)},
    }
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
