_base_ = [
    '../_base_/classification/datasets/cifar100.py', '../_base_/classification/schedules/recursive_cifar_200e.py',
    '../_base_/classification/runtime.py'
]

model = dict(
    type='mmext.Classifier',
    backbone=dict(type='mmext.RecursiveResNet', depth=18, stem='conv3x3'),
    num_classes=_base_.num_classes,
    data_preprocessor=_base_.data_preprocessor)
train_dataloader = dict(batch_size=128)
