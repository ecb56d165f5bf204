"""FashionMNIST: the four idx files, packed or not; resized from 28 to 32 pixels; grey becomes three equal channels."""

_base_ = 'images32.py'

dataset = dict(type='mmext.FashionMNIST', data_root='data/fashionmnist/')
resize = dict(type='mmext.BatchResize', size=32)  # before the padding to 40
train_dataloader = dict(dataset=dict(
    dataset,
    pipeline=[resize, dict(type='mmext.BatchRandomCrop', size=32, pad_to=40),
              dict(type='mmext.BatchRandomFlip', prob=0.5)]))
val_dataloader = dict(dataset=dict(dataset, pipeline=[resize]))
test_dataloader = val_dataloader

num_classes = 10
data_preprocessor = dict(type='mmext.ImagePreprocessor', mean=[72.9, 72.9, 72.9], std=[90.0, 90.0, 90.0])
