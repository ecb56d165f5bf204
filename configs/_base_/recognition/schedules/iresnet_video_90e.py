"""iResNet paper, video: 90 epochs of 64 clips a batch, lr 0.1, x0.1 after 30, 60 and 80."""

train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=90, val_interval=5)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=1e-4))
param_scheduler = [dict(type='MultiStepLR', by_epoch=True, end=90, milestones=[30, 60, 80], gamma=0.1)]

# The learning rate is for 64 clips in all: 8 processes with 8 each. --auto-scale-lr adapts it to another batch.
auto_scale_lr = dict(enable=False, base_batch_size=64)
