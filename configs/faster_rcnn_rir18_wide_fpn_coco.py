_base_ = 'faster_rcnn_resnet50_fpn_coco.py'

# Three stages: FPN gets the maps of stride 4, 8 and 16, and makes 32 and 64 of the last by pooling.
model = dict(
    backbone=dict(type='mmext.RiR', depth=18, num_stages=3, out_indices=(0, 1, 2)),
    neck=dict(in_channels=[96, 192, 384]))
