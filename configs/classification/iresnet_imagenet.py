_base_ = [
    '../_base_/classification/datasets/imagenet.py', '../_base_/classification/schedules/iresnet_90e.py',
    '../_base_/classification/runtime.py'
]

model = dict(
    type='mmext.Classifier',
    backbone=dict(type='mmext.IResNet', depth=50, stem='conv7x7'),
    num_classes=_base_.num_classes,
    data_preprocessor=_base_.data_preprocessor)
train_dataloader = dict(batch_size=32)  # a process; 8 processes in all
