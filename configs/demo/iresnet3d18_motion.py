_base_ = [
    '../_base_/recognition/models/recognizer3d_resnet50.py', '../_base_/recognition/datasets/motion.py',
    '../_base_/recognition/schedules/iresnet_video_90e.py', '../_base_/recognition/runtime.py'
]

model = dict(
    backbone=dict(type='mmext.IResNet3d', depth=18, temporal_strides=(1, 2, 2, 2)),
    cls_head=dict(in_channels=512, num_classes=6))

train_cfg = dict(max_epochs=10, val_interval=5)
optim_wrapper = dict(optimizer=dict(lr=0.02))
param_scheduler = [
    dict(type='LinearLR', by_epoch=False, start_factor=0.1, end=60),
    dict(type='CosineAnnealingLR', by_epoch=True, end=10, convert_to_iter_based=True)
]
auto_scale_lr = dict(base_batch_size=16)

default_hooks = dict(logger=dict(interval=10), checkpoint=dict(max_keep_ckpts=1))
