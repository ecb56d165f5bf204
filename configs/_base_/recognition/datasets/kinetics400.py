"""Kinetics-400 in mmaction2's layout: list files 'path label', and the videos below data_root.

A clip is 16 frames, every fourth of the video, from a random place; it may be flipped. Validation in
training: one clip, the centre crop. Test: 10 clips x 3 crops of 256 x 256.
"""

_base_ = 'clips.py'

data_root = 'data/kinetics400/'

train_pipeline = [
    dict(type='DecordInit'),
    dict(type='SampleFrames', clip_len=16, frame_interval=4, num_clips=1),
    dict(type='DecordDecode'),
    *_base_.train_augmentation,
    dict(type='Flip', flip_ratio=0.5),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs', meta_keys=('filename', 'img_shape')),
]


def held_out_pipeline(num_clips: int, crop: dict) -> list[dict]:
    """The same clips from fixed places, without augmentation; frames are resized to a short side of 256 pixels."""
    opening, sampling, decoding = train_pipeline[:3]
    return [opening, dict(sampling, num_clips=num_clips, test_mode=True), decoding,
            dict(type='Resize', scale=(-1, 256)), crop, *train_pipeline[-2:]]


val_pipeline = held_out_pipeline(num_clips=1, crop=dict(type='CenterCrop', crop_size=224))
test_pipeline = held_out_pipeline(num_clips=10, crop=dict(type='ThreeCrop', crop_size=256))

videos = dict(type='mmext.VideoDataset', data_root=data_root, num_classes=400)
held_out = dict(videos, ann_file='kinetics400_val_list_videos.txt', data_prefix=dict(video='videos_val'))

train_dataloader = dict(
    dataset=dict(
        videos,
        ann_file='kinetics400_train_list_videos.txt',
        data_prefix=dict(video='videos_train'),
        pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(held_out, pipeline=val_pipeline))
test_dataloader = dict(batch_size=1, dataset=dict(held_out, pipeline=test_pipeline))
