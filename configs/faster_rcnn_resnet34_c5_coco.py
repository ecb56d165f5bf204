_base_ = [
    '_base_/models/faster_rcnn_resnet50_c5.py', '_base_/datasets/coco_detection.py',
    '_base_/schedules/cresnet_detection_26e.py', '_base_/detection_runtime.py'
]

model = dict(
    backbone=dict(depth=34),
    rpn_head=dict(in_channels=512, feat_channels=512),
    roi_head=dict(bbox_roi_extractor=dict(out_channels=512), bbox_head=dict(in_channels=512)))
