_base_ = 'faster_rcnn_resnet50_fpn_coco.py'

model = dict(backbone=dict(type='mmext.IResNet', depth=101))
