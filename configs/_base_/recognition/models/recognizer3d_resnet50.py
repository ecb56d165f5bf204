"""A recognizer on an inflated network (iResNet paper, arXiv 2004.04989, section IV): 16 frames of 224 x 224."""

model = dict(
    type='Recognizer3D',
    data_preprocessor=dict(
        type='ActionDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        format_shape='NCTHW'),
    # To start from image weights, which are inflated: init_cfg=dict(type='Pretrained', checkpoint='resnet50.pth')
    backbone=dict(type='mmext.ResNet3d', depth=50, stem='conv7x7', norm_cfg=dict(type='BN'), init_cfg=None),
    cls_head=dict(
        type='I3DHead',
        in_channels=2048,
        num_classes=400,
        spatial_type='avg',
        dropout_ratio=0,
        average_clips='prob'))
