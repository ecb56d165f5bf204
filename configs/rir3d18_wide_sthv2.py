_base_ = 'resnet3d50_sthv2.py'

model = dict(backbone=dict(type='mmext.RiR3d', depth=18), cls_head=dict(in_channels=384))
