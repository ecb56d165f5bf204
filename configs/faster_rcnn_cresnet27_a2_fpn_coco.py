_base_ = 'faster_rcnn_resnet50_fpn_coco.py'

model = dict(
    backbone=dict(type='mmext.CResNet', depth=27, variant='a2'),
    neck=dict(in_channels=[64, 128, 256, 512]))
