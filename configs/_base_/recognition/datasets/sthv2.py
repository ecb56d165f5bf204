"""Something-Something-v2 as it is downloaded: labels.json, train.json, validation.json, and <id>.webm in one folder.

A clip is 16 frames, one from each sixteenth of the video. Never flipped: its classes know left from right.
Validation and test: one clip, the centre crop.
"""

_base_ = 'clips.py'

data_root = 'data/sthv2/'

train_pipeline = [
    dict(type='DecordInit'),
    dict(type='UniformSample', clip_len=16, num_clips=1),
    dict(type='DecordDecode'),
    *_base_.train_augmentation,
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs', meta_keys=('filename', 'img_shape')),
]
test_pipeline = [
    train_pipeline[0],
    dict(train_pipeline[1], test_mode=True),
    train_pipeline[2],
    dict(type='Resize', scale=(-1, 256)),
    dict(type='CenterCrop', crop_size=224),
    *train_pipeline[-2:],
]

videos = dict(
    type='mmext.SthV2Dataset',
    data_root=data_root,
    data_prefix=dict(video='20bn-something-something-v2'),
    num_classes=174)

train_dataloader = dict(dataset=dict(videos, ann_file='train.json', pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(videos, ann_file='validation.json', pipeline=test_pipeline))
test_dataloader = val_dataloader
