"""CIFAR-10, the python version: cifar-10-batches-py/."""

_base_ = 'images32.py'

dataset = dict(type='mmext.CIFAR10', data_root='data/cifar10/')
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = val_dataloader

num_classes = 10
data_preprocessor = dict(type='mmext.ImagePreprocessor', mean=[125.3, 123.0, 113.9], std=[63.0, 62.1, 66.7])
