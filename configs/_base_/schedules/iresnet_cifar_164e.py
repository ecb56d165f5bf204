"""iResNet paper, CIFAR: ImageNet's optimiser. 164 epochs of batch 128, x0.1 after 81 and 122, are not printed there but
in the pre-activation paper (arXiv 1603.05027), whose 164-layer net is the baseline."""

train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=164, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=1e-4))
param_scheduler = [dict(type='MultiStepLR', by_epoch=True, end=164, milestones=[81, 122], gamma=0.1)]

# lr is for this many images a step; --auto-scale-lr adapts it to the batch that is really used.
auto_scale_lr = dict(enable=False, base_batch_size=128)
