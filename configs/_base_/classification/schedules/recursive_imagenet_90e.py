"""Recursion formulas, ImageNet: 90 epochs of batch 256, lr 0.1, x0.1 every 30."""

train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=90, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=5e-4))
param_scheduler = [dict(type='StepLR', by_epoch=True, end=90, step_size=30, gamma=0.1)]

# The learning rate is for 256 images in all: 8 processes with 32 each. --auto-scale-lr adapts it to another batch.
auto_scale_lr = dict(enable=False, base_batch_size=256)
