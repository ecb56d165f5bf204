_base_ = [
    '../_base_/classification/datasets/svhn.py', '../_base_/classification/schedules/cresnet_500e.py',
    '../_base_/classification/runtime.py'
]

model = dict(
    type='mmext.Classifier',
    backbone=dict(type='mmext.CResNet', depth=18, variant='a', stem='conv3x3_twice'),
    num_classes=_base_.num_classes,
    data_preprocessor=_base_.data_preprocessor)
train_dataloader = dict(batch_size=32)
