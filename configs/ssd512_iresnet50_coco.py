_base_ = [
    '_base_/models/ssd512_resnet50.py', '_base_/datasets/coco_ssd512.py', '_base_/schedules/ssd300_130e.py',
    '_base_/detection_runtime.py'
]

model = dict(backbone=dict(type='mmext.IResNet', depth=50))
