"""Action recognition with mmaction2: data sets and pipeline steps that tolerate unreadable videos, metric and hooks.

A config that uses them says ``custom_imports = dict(imports=['mmext', 'mmext.video'])``. This package imports
mmaction2; the reader of video files, ``mmext.data.video``, does not.
"""

from mmext.video.datasets import FrameDataset, SthV2Dataset, VideoDataset
from mmext.video.hooks import ShowVideosHook
from mmext.video.metric import ActionAccuracy
from mmext.video.transforms import DecodeFrames, DecodeVideo, OpenVideo

__all__ = ['ActionAccuracy', 'DecodeFrames', 'DecodeVideo', 'FrameDataset', 'OpenVideo', 'ShowVideosHook',
           'SthV2Dataset', 'VideoDataset']
