_base_ = 'ssd300_resnet50_coco.py'

model = dict(backbone=dict(type='mmext.IResNet', depth=101))
