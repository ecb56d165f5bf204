"""mmdet's Faster R-CNN with FPN, as it is, on a residual network of ours."""

_base_ = 'mmdet::_base_/models/faster-rcnn_r50_fpn.py'

model = dict(
    # From random weights nothing is frozen and batch norms learn. mmdet's training from ImageNet weights is
    # init_cfg=dict(type='Pretrained', checkpoint='resnet50.pth'), frozen_stages=1, norm_eval=True.
    backbone=dict(
        _delete_=True,
        type='mmext.ResNet',
        depth=50,
        stem='conv7x7',
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        frozen_stages=-1,
        norm_cfg=dict(type='BN'),
        norm_eval=False,
        init_cfg=None))
