_base_ = [
    '_base_/models/ssd300_resnet50.py', '_base_/datasets/coco_ssd300.py', '_base_/schedules/ssd300_130e.py',
    '_base_/detection_runtime.py'
]

channels = (384, 512, 512, 256, 256, 256)
model = dict(
    backbone=dict(type='mmext.RiR', depth=18),
    neck=dict(in_channels=(384, ), out_channels=channels),
    bbox_head=dict(in_channels=channels))
