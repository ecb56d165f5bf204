_base_ = [
    '_base_/models/faster_rcnn_resnet50_c5.py', '_base_/datasets/coco_detection.py',
    '_base_/schedules/cresnet_detection_26e.py', '_base_/detection_runtime.py'
]
