_base_ = [
    '../_base_/classification/datasets/imagenet.py', '../_base_/classification/schedules/recursive_imagenet_90e.py',
    '../_base_/classification/runtime.py'
]

model = dict(
    type='mmext.Classifier',
    backbone=dict(type='mmext.RecursiveResNet', depth=18, stem='conv7x7'),
    num_classes=_base_.num_classes,
    data_preprocessor=_base_.data_preprocessor)
train_dataloader = dict(batch_size=32)  # a process; 8 processes in all
