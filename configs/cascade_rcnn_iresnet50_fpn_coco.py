"""mmdet's own Cascade R-CNN, all but the backbone. In mmdet's tools add custom_imports = dict(imports=['mmext'])."""

_base_ = 'mmdet::cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py'
model = dict(backbone=dict(_delete_=True, type='mmext.IResNet', depth=50, stem='conv7x7'))
