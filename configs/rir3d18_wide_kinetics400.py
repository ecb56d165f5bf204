_base_ = 'resnet3d50_kinetics400.py'

model = dict(backbone=dict(type='mmext.RiR3d', depth=18), cls_head=dict(in_channels=384))
