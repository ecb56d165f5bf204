_base_ = [
    '_base_/models/ssd300_resnet50.py', '_base_/datasets/coco_ssd300.py', '_base_/schedules/ssd300_130e.py',
    '_base_/detection_runtime.py'
]

model = dict(backbone=dict(type='mmext.RecursiveResNet', depth=50))
