"""iResNet paper, CIFAR: ImageNet's optimiser, for its networks and its baselines alike.

The rest is not printed there but in the paper of its baseline, the pre-activation networks (arXiv 1603.05027): batch
128, a learning rate of 0.01 for the first 400 iterations and of 0.1 after them, x0.1 after 32k and 48k of 64k
iterations (epochs 82 and 123 of 164). The 400 are batches, whatever their size: with --accumulate N they are 400 / N
updates.
"""

train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=164, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=1e-4))
param_scheduler = [
    dict(type='ConstantLR', by_epoch=False, begin=0, end=401, factor=0.1),  # iterations 0 to 399
    dict(type='MultiStepLR', by_epoch=True, begin=0, end=164, milestones=[82, 123], gamma=0.1),
]

# The learning rate is for 128 images in all: one process with 128. --auto-scale-lr adapts it to another batch.
auto_scale_lr = dict(enable=False, base_batch_size=128)
