"""Videos: exact frames at random, steps of a pipeline, and data sets of which some files can't be read.

A config that uses them says ``custom_imports = dict(imports=['mmext', 'mmext.video'])``: they import mmaction2, and
other tasks need not wait for it.
"""

from mmext.video.datasets import FrameDataset, SthV2Dataset, VideoDataset
from mmext.video.decode import VideoError, VideoReader
from mmext.video.hooks import ShowVideosHook
from mmext.video.metric import ActionAccuracy
from mmext.video.transforms import DecodeFrames, DecodeVideo, OpenVideo

__all__ = ['ActionAccuracy', 'DecodeFrames', 'DecodeVideo', 'FrameDataset', 'OpenVideo', 'ShowVideosHook',
           'SthV2Dataset', 'VideoDataset', 'VideoError', 'VideoReader']
