_base_ = 'faster_rcnn_resnet18_c5_coco.py'

model = dict(backbone=dict(depth=34))
