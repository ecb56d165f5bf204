"""C-ResNet, detection: 26 epochs, lr 0.02, x0.1 after 16 and 22. Batch 16, momentum, weight decay and the warm-up
over 500 steps are not printed but mmdet's, with which this lr goes."""

_base_ = 'mmdet::_base_/schedules/schedule_2x.py'

train_cfg = dict(max_epochs=26)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type='MultiStepLR', by_epoch=True, begin=0, end=26, milestones=[16, 22], gamma=0.1),
]
