_base_ = 'resnet3d50_kinetics400.py'

model = dict(backbone=dict(type='mmext.IResNet3d'))
