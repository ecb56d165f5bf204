"""130 epochs, lr 0.02 for 256 images, x0.1 before epochs 86 and 108, linear warm-up over the first epoch."""

train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=130, val_interval=5)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='SGD', lr=0.02, momentum=0.9, weight_decay=5e-4), clip_grad=None)
# Epochs count from 0, as in the training code that the paper's recipe comes from.
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=True, begin=0, end=1, convert_to_iter_based=True),
    dict(type='MultiStepLR', by_epoch=True, begin=0, end=130, milestones=[86, 108], gamma=0.1),
]

# The learning rate is for 256 images in all: 8 processes with 32 each. --auto-scale-lr adapts it to another batch.
auto_scale_lr = dict(enable=False, base_batch_size=256)
