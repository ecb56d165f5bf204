_base_ = 'ssd300_iresgroupfix50_coco.py'

model = dict(backbone=dict(depth=101))
