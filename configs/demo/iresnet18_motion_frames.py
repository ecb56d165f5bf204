"""What single frames tell: the network in 2D, on any one frame of a clip in training, on the middle one in the test."""

_base_ = 'iresnet3d18_motion.py'

model = dict(
    type='Recognizer2D',
    data_preprocessor=dict(format_shape='NCHW'),
    backbone=dict(
        _delete_=True, type='mmext.IResNet', depth=18, stem='conv7x7', out_indices=(3, ), bare=True,
        norm_cfg=dict(type='BN')),
    cls_head=dict(_delete_=True, type='TSNHead', in_channels=512, num_classes=6, dropout_ratio=0, average_clips='prob'))

frames = [*_base_.train_pipeline[3:5], dict(type='FormatShape', input_format='NCHW'), _base_.train_pipeline[6]]
train_pipeline = [
    _base_.train_pipeline[0], dict(type='SampleFrames', clip_len=1, num_clips=1), _base_.train_pipeline[2], *frames
]
test_pipeline = [
    _base_.test_pipeline[0], dict(type='SampleFrames', clip_len=1, num_clips=1, test_mode=True),
    _base_.test_pipeline[2], *frames
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
