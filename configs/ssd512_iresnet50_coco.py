_base_ = [
    '_base_/detection/models/ssd512_resnet50.py', '_base_/detection/datasets/coco_ssd512.py',
    '_base_/detection/schedules/ssd300_130e.py', '_base_/detection/runtime.py'
]

model = dict(backbone=dict(type='mmext.IResNet', depth=50))
