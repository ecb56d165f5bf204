"""The residual backbones of the papers, in 2D and 3D."""

from mmext.backbones.backbone import Backbone
from mmext.backbones.cresnet import CResNet
from mmext.backbones.iresnet import IResNet, ResMax, ResStage
from mmext.backbones.names import create_backbone, list_backbones
from mmext.backbones.recursive import RecursiveRes2NeXt, RecursiveResNet, RecursiveResNeXt, RecursiveSEResNet
from mmext.backbones.register import register_backbone
from mmext.backbones.resgroup import IResGroup, IResGroupFix, ResGroup, ResGroupFix
from mmext.backbones.resnet import PreActResNet, ResNet, ResNeXt
from mmext.backbones.rir import AllCNN, RiR

__all__ = [
    'AllCNN', 'Backbone', 'CResNet', 'IResGroup', 'IResGroupFix', 'IResNet', 'PreActResNet', 'RecursiveRes2NeXt',
    'RecursiveResNeXt', 'RecursiveResNet', 'RecursiveSEResNet', 'ResGroup', 'ResGroupFix', 'ResMax', 'ResNeXt',
    'ResNet', 'ResStage', 'RiR', 'create_backbone', 'list_backbones', 'register_backbone'
]
