_base_ = 'ssd300_resnet50_coco.py'

channels = (384, 512, 512, 256, 256, 256)
model = dict(
    backbone=dict(type='mmext.RiR', depth=18),
    neck=dict(in_channels=(384, ), out_channels=channels),
    bbox_head=dict(in_channels=channels))
