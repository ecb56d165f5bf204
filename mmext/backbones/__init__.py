"""Residual backbones of the papers, in 2D and 3D, one file per idea."""

from mmext.backbones.backbone import Backbone
from mmext.backbones.iresnet import IResNet, ResMax, ResStage
from mmext.backbones.names import create_backbone, list_backbones
from mmext.backbones.resgroup import IResGroup, IResGroupFix, ResGroup, ResGroupFix
from mmext.backbones.resnet import PreActResNet, ResNet, ResNeXt

__all__ = [
    'Backbone', 'IResGroup', 'IResGroupFix', 'IResNet', 'PreActResNet', 'ResGroup', 'ResGroupFix', 'ResMax', 'ResNeXt',
    'ResNet', 'ResStage', 'create_backbone', 'list_backbones'
]
