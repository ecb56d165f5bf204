"""ResNet in ResNet: 82 epochs of batch 500, x0.1 after 42 and 62. The first lr is not printed; 0.4 was chosen
for rir32 on CIFAR-10 by short trainings on a part of the training set, see docs/results.md."""

train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=82, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.4, momentum=0.9, weight_decay=1e-4))
param_scheduler = [dict(type='MultiStepLR', by_epoch=True, end=82, milestones=[42, 62], gamma=0.1)]

# The learning rate is for 500 images in all: one process with 500. --auto-scale-lr adapts it to another batch.
auto_scale_lr = dict(enable=False, base_batch_size=500)
