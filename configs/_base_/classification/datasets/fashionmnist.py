"""FashionMNIST: the four idx files, packed or not. Otherwise as mnist.py."""

_base_ = 'mnist.py'

dataset = dict(type='mmext.FashionMNIST', data_root='data/fashionmnist/')
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = val_dataloader

data_preprocessor = dict(mean=[72.9, 72.9, 72.9], std=[90.0, 90.0, 90.0])
