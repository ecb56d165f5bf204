"""Recursion formulas, CIFAR: 200 epochs of batch 128, lr 0.1 on a cosine to 0."""

train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=200, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=5e-4))
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=True, end=200, T_max=200, eta_min=0)]

# The learning rate is for 128 images in all: one process with 128. --auto-scale-lr adapts it to another batch.
auto_scale_lr = dict(enable=False, base_batch_size=128)
