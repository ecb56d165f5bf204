"""Reading and writing of video files; needs PyAV and numpy, and neither torch nor OpenMMLab's libraries.

``VideoReader`` returns exact frames by their number; ``FrameReader`` iterates over all frames from start to end, and
``FrameWriter`` writes frames. Whatever can't be read is a ``VideoError``.
"""

from mmext.data.video.container import VideoError
from mmext.data.video.reader import VideoReader
from mmext.data.video.stream import Frame, FrameReader, FrameWriter

__all__ = ['Frame', 'FrameReader', 'FrameWriter', 'VideoError', 'VideoReader']
