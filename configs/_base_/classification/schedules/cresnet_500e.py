"""C-ResNet: 500 epochs of batch 32, lr 0.01, x0.1 every 150."""

train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=500, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=5e-4))
param_scheduler = [dict(type='StepLR', by_epoch=True, end=500, step_size=150, gamma=0.1)]

# The learning rate is for 32 images in all: one process with 32. --auto-scale-lr adapts it to another batch.
auto_scale_lr = dict(enable=False, base_batch_size=32)
