"""FashionMNIST: the four idx files, packed or not; grey becomes three equal channels."""

_base_ = 'images32.py'

dataset = dict(type='mmext.FashionMNIST', data_root='data/fashionmnist/')
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = val_dataloader

num_classes = 10
data_preprocessor = dict(type='mmext.ImagePreprocessor', mean=[72.9, 72.9, 72.9], std=[90.0, 90.0, 90.0])
