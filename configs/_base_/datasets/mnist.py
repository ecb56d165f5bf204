"""MNIST: the four idx files, packed or not; grey becomes three equal channels."""

_base_ = 'images32.py'

dataset = dict(type='mmext.MNIST', data_root='data/mnist/')
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = val_dataloader

num_classes = 10
data_preprocessor = dict(type='mmext.ImagePreprocessor', mean=[33.3, 33.3, 33.3], std=[78.6, 78.6, 78.6])
