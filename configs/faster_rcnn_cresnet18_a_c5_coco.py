_base_ = 'faster_rcnn_resnet50_c5_coco.py'

model = dict(
    backbone=dict(type='mmext.CResNet', depth=18, variant='a'),
    rpn_head=dict(in_channels=512, feat_channels=512),
    roi_head=dict(bbox_roi_extractor=dict(out_channels=512), bbox_head=dict(in_channels=512)))
