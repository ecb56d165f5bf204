_base_ = [
    '../_base_/classification/datasets/cifar100.py', '../_base_/classification/schedules/iresnet_cifar_164e.py',
    '../_base_/classification/runtime.py'
]

model = dict(
    type='mmext.Classifier',
    backbone=dict(type='mmext.IResNet', depth=164, stem='conv3x3'),
    num_classes=_base_.num_classes,
    data_preprocessor=_base_.data_preprocessor)
train_dataloader = dict(batch_size=128)
