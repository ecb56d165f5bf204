"""ResGroup and iResGroup (Duta et al., arXiv 2004.04989, section III-C): 3x3 convolutions with many groups."""

from __future__ import annotations

from mmext.backbones.iresnet import ResStage
from mmext.backbones.plan import Arch, bottleneck
from mmext.backbones.register import register_backbone
from mmext.backbones.resnet import ResNet

DEPTHS = (50, 101, 152)
GROUPS = (8, 16, 32, 64)
FIXED_GROUPS = (64, 64, 64, 64)


def resgroup(groups: tuple[int, ...]) -> dict[int, Arch]:
    """The table of depths: 256 to 2048 channels in the 3x3 convolutions, and half as many in the stage's output."""
    return {depth: bottleneck(depth, width=256, expansion=0.5, groups=groups) for depth in DEPTHS}


@register_backbone
class ResGroup(ResNet):
    """ResNet with ResGroup blocks; the number of groups doubles from stage to stage."""

    family = 'resgroup'
    archs = resgroup(GROUPS)


@register_backbone
class ResGroupFix(ResNet):
    """ResGroup with 64 groups in every stage."""

    family = 'resgroupfix'
    archs = resgroup(FIXED_GROUPS)


@register_backbone
class IResGroup(ResStage):
    """ResGroup with the wiring of ResStage and the improved projection."""

    family = 'iresgroup'
    archs = resgroup(GROUPS)
    improved_projection = True


@register_backbone
class IResGroupFix(ResStage):
    """ResGroupFix with the wiring of ResStage and the improved projection."""

    family = 'iresgroupfix'
    archs = resgroup(FIXED_GROUPS)
    improved_projection = True
