"""ImageNet in its own layout, train/<class>/, val/<class>/: 224-pixel crops, random in training, central in tests.

A process takes 32 images; the papers' batch of 256 is that of 8 processes.
"""

data_root = 'data/imagenet/'

train_dataloader = dict(
    batch_size=32,
    num_workers=8,
    worker_init_fn=dict(type='mmext.seed_worker'),
    collate_fn=dict(type='mmext.collate_images'),
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='mmext.ImageFolder',
        data_root=data_root,
        pipeline=[
            dict(type='mmext.LoadImage', on_error='skip'),
            dict(type='mmext.RandomResizedCrop', size=224),
            dict(type='RandomFlip', prob=0.5),
            dict(type='mmext.PackClassInputs'),
        ]))
val_dataloader = dict(
    batch_size=64,
    num_workers=8,
    collate_fn=dict(type='mmext.collate_images'),
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='mmext.ImageFolder',
        data_root=data_root,
        test_mode=True,
        pipeline=[
            dict(type='mmext.LoadImage', on_error='raise'),
            dict(type='Resize', scale=(100000, 256), keep_ratio=True),  # the short side
            dict(type='CenterCrop', crop_size=224),
            dict(type='mmext.PackClassInputs'),
        ]))
test_dataloader = val_dataloader

val_evaluator = dict(type='mmext.Accuracy', topk=(1, 5))
test_evaluator = val_evaluator

num_classes = 1000
data_preprocessor = dict(
    type='mmext.ImagePreprocessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
