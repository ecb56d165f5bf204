_base_ = 'resnet3d50_kinetics400.py'

model = dict(backbone=dict(type='mmext.IResGroup3d'), cls_head=dict(in_channels=1024))
