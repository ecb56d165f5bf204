_base_ = 'ssd300_iresgroup50_coco.py'

model = dict(backbone=dict(depth=101))
