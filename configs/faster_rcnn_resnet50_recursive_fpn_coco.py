_base_ = [
    '_base_/models/faster_rcnn_resnet50_fpn.py', '_base_/datasets/coco_detection.py',
    'mmdet::_base_/schedules/schedule_1x.py', '_base_/detection_runtime.py'
]

model = dict(backbone=dict(type='mmext.RecursiveResNet', depth=50))
