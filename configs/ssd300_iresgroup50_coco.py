_base_ = 'ssd300_resnet50_coco.py'

channels = (512, 512, 512, 256, 256, 256)
model = dict(
    backbone=dict(type='mmext.IResGroup', depth=50),
    neck=dict(in_channels=(512, ), out_channels=channels),
    bbox_head=dict(in_channels=channels))
