_base_ = 'resnet3d50_sthv2.py'

model = dict(backbone=dict(type='mmext.CResNet3d', depth=18, variant='a'), cls_head=dict(in_channels=512))
