_base_ = [
    '../_base_/classification/datasets/cifar10.py', '../_base_/classification/schedules/rir_82e.py',
    '../_base_/classification/runtime.py'
]

model = dict(
    type='mmext.Classifier',
    backbone=dict(type='mmext.RiR', depth=32, variant='rir', stem='conv3x3'),
    num_classes=_base_.num_classes,
    data_preprocessor=_base_.data_preprocessor)
train_dataloader = dict(batch_size=500)
