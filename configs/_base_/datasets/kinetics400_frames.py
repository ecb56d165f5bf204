"""Kinetics-400 as extracted frames, in mmaction2's layout: list files 'folder frames label', img_00001.jpg ...

Otherwise as kinetics400.py.
"""

data_root = 'data/kinetics400/'

train_pipeline = [
    dict(type='SampleFrames', clip_len=16, frame_interval=4, num_clips=1),
    dict(type='mmext.DecodeFrames', on_error='skip'),
    dict(type='Resize', scale=(-1, 256)),
    dict(type='MultiScaleCrop', input_size=224, scales=(1, 0.875, 0.75, 0.66), random_crop=False, max_wh_scale_gap=1),
    dict(type='Resize', scale=(224, 224), keep_ratio=False),
    dict(type='Flip', flip_ratio=0.5),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs', meta_keys=('filename', 'img_shape')),
]
val_pipeline = [
    dict(type='SampleFrames', clip_len=16, frame_interval=4, num_clips=1, test_mode=True),
    dict(type='mmext.DecodeFrames', on_error='raise'),
    dict(type='Resize', scale=(-1, 256)),
    dict(type='CenterCrop', crop_size=224),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs', meta_keys=('filename', 'img_shape')),
]
test_pipeline = [
    dict(type='SampleFrames', clip_len=16, frame_interval=4, num_clips=10, test_mode=True),
    dict(type='mmext.DecodeFrames', on_error='raise'),
    dict(type='Resize', scale=(-1, 256)),
    dict(type='ThreeCrop', crop_size=256),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs', meta_keys=('filename', 'img_shape')),
]

train_dataloader = dict(
    batch_size=8,
    num_workers=8,
    drop_last=True,  # a last batch of one clip has poor statistics for the batch norms
    worker_init_fn=dict(type='mmext.seed_worker'),
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='mmext.FrameDataset',
        data_root=data_root,
        ann_file='kinetics400_train_list_rawframes.txt',
        data_prefix=dict(video='rawframes_train'),
        num_classes=400,
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=8,
    num_workers=8,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='mmext.FrameDataset',
        data_root=data_root,
        ann_file='kinetics400_val_list_rawframes.txt',
        data_prefix=dict(video='rawframes_val'),
        num_classes=400,
        test_mode=True,
        pipeline=val_pipeline))
test_dataloader = dict(
    batch_size=1,
    num_workers=8,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='mmext.FrameDataset',
        data_root=data_root,
        ann_file='kinetics400_val_list_rawframes.txt',
        data_prefix=dict(video='rawframes_val'),
        num_classes=400,
        test_mode=True,
        pipeline=test_pipeline))

val_evaluator = dict(type='mmext.ActionAccuracy', topk=(1, 5))
test_evaluator = val_evaluator
