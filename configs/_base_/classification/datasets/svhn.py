"""SVHN, cropped digits: train_32x32.mat and test_32x32.mat."""

_base_ = 'images32.py'

dataset = dict(type='mmext.SVHN', data_root='data/svhn/')
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = val_dataloader

num_classes = 10
data_preprocessor = dict(type='mmext.ImagePreprocessor', mean=[111.6, 113.2, 120.6], std=[50.5, 51.3, 50.2])
