_base_ = 'resnet3d50_sthv2.py'

model = dict(backbone=dict(type='mmext.IResGroup3d'), cls_head=dict(in_channels=1024))
