"""The clips of tools/make_motion.py: 8 frames of 40 x 40, every second of a clip's 16.

Never flipped: that would turn left into right.
"""

_base_ = 'clips.py'

data_root = 'data/motion/'

train_pipeline = [
    dict(type='DecordInit'),
    dict(type='SampleFrames', clip_len=8, frame_interval=2, num_clips=1),
    dict(type='DecordDecode'),
    dict(type='Resize', scale=(-1, 40)),
    dict(type='CenterCrop', crop_size=40),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs', meta_keys=('filename', 'img_shape')),
]
test_pipeline = [
    train_pipeline[0],
    dict(train_pipeline[1], test_mode=True),
    *train_pipeline[2:],
]
videos = dict(type='mmext.VideoDataset', data_root=data_root, num_classes=6)
held_out = dict(videos, ann_file='motion_val_list_videos.txt', data_prefix=dict(video='videos_val'))

train_dataloader = dict(
    batch_size=16,
    num_workers=1,
    dataset=dict(
        videos,
        ann_file='motion_train_list_videos.txt',
        data_prefix=dict(video='videos_train'),
        pipeline=train_pipeline))
val_dataloader = dict(batch_size=16, num_workers=1, dataset=dict(held_out, pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = dict(topk=(1, ))
test_evaluator = val_evaluator
