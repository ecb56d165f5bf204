_base_ = [
    '_base_/detection/models/faster_rcnn_resnet50_fpn.py', '_base_/detection/datasets/coco_detection.py',
    'mmdet::_base_/schedules/schedule_2x.py', '_base_/detection/runtime.py'
]

env_cfg = dict(cudnn_benchmark=False)  # images keep their proportions, so that sizes vary
