"""C-ResNet, detection: 26 epochs, learning rate 0.02, x0.1 after 16 and 22.

None of it is printed. It is in the authors' detection script, which follows torchvision's references: momentum 0.9,
weight decay 1e-4, and a linear warm-up over min(1000, batches of an epoch - 1) batches. The learning rate is for 16
images in all: 8 processes with 2 each.
"""

_base_ = 'mmdet::_base_/schedules/schedule_2x.py'

train_cfg = dict(max_epochs=26)
param_scheduler = [
    dict(type='mmext.FirstEpochWarmUp', start_factor=0.001, iters=1000, convert_to_iter_based=True),
    dict(type='MultiStepLR', by_epoch=True, begin=0, end=26, milestones=[16, 22], gamma=0.1),
]
