_base_ = 'resnet3d50_sthv2.py'

model = dict(backbone=dict(type='mmext.IResNet3d'))
