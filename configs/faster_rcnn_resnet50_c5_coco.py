_base_ = [
    '_base_/detection/models/faster_rcnn_resnet50_c5.py', '_base_/detection/datasets/coco_detection.py',
    '_base_/detection/schedules/cresnet_detection_26e.py', '_base_/detection/runtime.py'
]

env_cfg = dict(cudnn_benchmark=False)  # images keep their proportions, so that sizes vary
