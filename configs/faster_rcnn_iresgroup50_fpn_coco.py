_base_ = 'faster_rcnn_resnet50_fpn_coco.py'

model = dict(
    backbone=dict(type='mmext.IResGroup', depth=50),
    neck=dict(in_channels=[128, 256, 512, 1024]))
