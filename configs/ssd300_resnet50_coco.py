_base_ = [
    '_base_/detection/models/ssd300_resnet50.py', '_base_/detection/datasets/coco_ssd300.py',
    '_base_/detection/schedules/ssd300_130e.py', '_base_/detection/runtime.py'
]
