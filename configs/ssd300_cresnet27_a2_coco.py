_base_ = 'ssd300_resnet50_coco.py'

channels = (256, 512, 512, 256, 256, 256)
model = dict(
    backbone=dict(type='mmext.CResNet', depth=27, variant='a2'),
    neck=dict(in_channels=(256, ), out_channels=channels),
    bbox_head=dict(in_channels=channels))
