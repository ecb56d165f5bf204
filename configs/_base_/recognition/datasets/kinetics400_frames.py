"""Kinetics-400 as extracted frames, in mmaction2's layout: list files 'folder frames label', img_00001.jpg ...

Otherwise as kinetics400.py.
"""

_base_ = 'kinetics400.py'

# In the place of opening a video, sampling and decoding: sampling and reading of images.
train_pipeline = [_base_.train_pipeline[1], dict(type='RawFrameDecode'), *_base_.train_pipeline[3:]]
val_pipeline = [_base_.val_pipeline[1], dict(type='RawFrameDecode'), *_base_.val_pipeline[3:]]
test_pipeline = [_base_.test_pipeline[1], dict(type='RawFrameDecode'), *_base_.test_pipeline[3:]]

frames = dict(type='mmext.FrameDataset')
held_out = dict(frames, ann_file='kinetics400_val_list_rawframes.txt', data_prefix=dict(video='rawframes_val'))

train_dataloader = dict(
    dataset=dict(
        frames,
        ann_file='kinetics400_train_list_rawframes.txt',
        data_prefix=dict(video='rawframes_train'),
        pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(held_out, pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(held_out, pipeline=test_pipeline))
