"""Caltech-101, resized to 32 x 32: 101_ObjectCategories/."""

_base_ = 'images32.py'

dataset = dict(type='mmext.Caltech101', data_root='data/caltech101/')
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = val_dataloader

num_classes = 101
data_preprocessor = dict(  # ImageNet's
    type='mmext.ImagePreprocessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
