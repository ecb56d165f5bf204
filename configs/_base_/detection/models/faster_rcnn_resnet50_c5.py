"""Faster R-CNN on the last stage alone, as C-ResNet's paper has it: one map of stride 32, no FPN, no pretraining.

The paper prints the results and an input of 224 x 224. The map, the anchors, and RoIs of 7 x 7 with two samples a side
in each cell are in the authors' script alone; proposals, sampling, losses and the head of two layers of 1024 are
mmdet's. The RPN's convolution is as wide as the map, as in mmdet's other single-map detectors.
"""

_base_ = 'faster_rcnn_resnet50_fpn.py'

model = dict(
    backbone=dict(out_indices=(3, )),
    neck=None,
    rpn_head=dict(
        in_channels=2048,
        feat_channels=2048,
        # 32, 64, 128, 256 and 512 pixels, whatever the map's stride
        anchor_generator=dict(base_sizes=[32], scales=[1, 2, 4, 8, 16], strides=[32])),
    roi_head=dict(
        bbox_roi_extractor=dict(
            out_channels=2048, featmap_strides=[32], roi_layer=dict(sampling_ratio=2)),
        bbox_head=dict(in_channels=2048)))
