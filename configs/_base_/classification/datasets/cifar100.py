"""CIFAR-100, the python version: cifar-100-python/."""

_base_ = 'images32.py'

dataset = dict(type='mmext.CIFAR100', data_root='data/cifar100/')
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = val_dataloader

num_classes = 100
data_preprocessor = dict(type='mmext.ImagePreprocessor', mean=[129.3, 124.1, 112.4], std=[68.2, 65.4, 70.4])
