"""Pipeline steps that read videos, or folders of their frames, some of which can't be read."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from mmengine import fileio

from mmext.data.decoding import NoImage, decode
from mmext.data.unreadable import Reader
from mmext.data.video import VideoError, VideoReader
from mmext.errors import cause
from mmext.registry import TRANSFORMS

BLANK_FRAMES, BLANK_SIZE = 300, (256, 340)


class VideoStep(Reader):
    """Base of the steps that open and decode videos, which handle an unreadable one in the same way.

    Args:
        on_error, log_file: see ``Reader``; a blank video has black frames.

    Raises:
        UserError: with on_error='raise', a video can't be read.
    """

    def transform(self, results: dict) -> dict | None:
        """The results of ``read``, or for an unreadable video those of ``blank``; None for a video to be skipped."""
        try:
            return self.read(results)
        except VideoError as error:
            reader = results.pop('video_reader', None)
            if reader is not None:
                reader.close()
            self.reject(str(error), results['filename'], error.reason)
            return None if self.on_error == 'skip' else self.blank(results)

    def read(self, results: dict) -> dict:
        """The step's results. VideoError: the video can't be read."""
        raise NotImplementedError

    def blank(self, results: dict) -> dict:
        """The step's results for an unreadable video, which is represented by black frames."""
        raise NotImplementedError


class BlankVideo:
    """Takes the place of a ``VideoReader``; its frames are black."""

    def images(self, frames: Sequence[int]) -> list[np.ndarray]:
        """A black frame, uint8, (height, width, 3), for each number."""
        return [np.zeros((*BLANK_SIZE, 3), np.uint8) for _ in frames]

    def close(self) -> None:
        """Does nothing."""


class FramesInMemory:
    """Takes the place of a ``VideoReader`` for frames that are in memory: RGB, uint8, (T, height, width, 3)."""

    fps = 30.0  # no step of our pipelines depends on it

    def __init__(self, frames: np.ndarray) -> None:
        self.frames = frames

    def __len__(self) -> int:
        return len(self.frames)

    def images(self, frames: Sequence[int]) -> list[np.ndarray]:
        """The frame, uint8, (height, width, 3), of each number."""
        return [self.frames[frame] for frame in frames]

    def close(self) -> None:
        """Does nothing."""


@TRANSFORMS.register_module()
class OpenVideo(VideoStep):
    """Opens ``filename``, or the array ``frames`` if there is one; replaces mmaction2's ``DecordInit``.

    Adds video_reader (a ``VideoReader``), total_frames and avg_fps, and start_index = 0 where there is none, as
    mmaction2's samplers need them.

    Args:
        threads: of the decoder; 1 is best in a data loader's worker.
        short_side: of the decoded frames, in pixels; None keeps the size of the video.
        on_error, log_file: see ``VideoStep``.
    """

    def __init__(self, threads: int = 1, short_side: int | None = None, on_error: str = 'raise',
                 log_file: str | None = None) -> None:
        super().__init__(on_error, log_file)
        self.threads = threads
        self.short_side = short_side

    def read(self, results: dict) -> dict:
        """Opens the video."""
        if 'frames' in results:
            reader = FramesInMemory(results.pop('frames'))
        else:
            reader = VideoReader(results['filename'], self.threads, self.short_side)
        results.update(video_reader=reader, total_frames=len(reader), avg_fps=reader.fps)
        results.setdefault('start_index', 0)
        return results

    def blank(self, results: dict) -> dict:
        """A video of 300 black frames."""
        results.update(video_reader=BlankVideo(), total_frames=BLANK_FRAMES, avg_fps=30.0)
        results.setdefault('start_index', 0)
        return results


@TRANSFORMS.register_module()
class DecodeVideo(VideoStep):
    """Decodes ``frame_inds`` of the open video and closes it; replaces mmaction2's ``DecordDecode``.

    Adds imgs, a list of RGB, uint8, (height, width, 3), and original_shape and img_shape, both (height, width).
    """

    def read(self, results: dict) -> dict:
        """Decodes the frames."""
        results['frame_inds'] = np.reshape(results['frame_inds'], -1)
        images = results['video_reader'].images(results['frame_inds'])
        results['video_reader'].close()
        results['video_reader'] = None
        return with_images(results, images)

    def blank(self, results: dict) -> dict:
        """Black frames."""
        return with_images(dict(results, video_reader=None), BlankVideo().images(results['frame_inds']))


@TRANSFORMS.register_module()
class DecodeFrames(VideoStep):
    """Reads the images ``frame_inds`` of a folder; replaces mmaction2's ``RawFrameDecode``.

    Needs frame_dir and filename_tmpl, such as 'img_{:05}.jpg'; adds the same as ``DecodeVideo``.
    """

    def read(self, results: dict) -> dict:
        """Reads the images, each once."""
        results['frame_inds'] = np.reshape(results['frame_inds'], -1)
        found: dict[int, np.ndarray] = {}
        for frame in results['frame_inds'].tolist():
            if frame not in found:
                found[frame] = read_frame(results['frame_dir'], results['filename_tmpl'].format(frame))
        return with_images(results, [found[frame].copy() for frame in results['frame_inds'].tolist()])

    def blank(self, results: dict) -> dict:
        """Black frames."""
        return with_images(results, BlankVideo().images(results['frame_inds']))


def read_frame(folder: str, name: str) -> np.ndarray:
    """Reads an image file of a folder as RGB, uint8, (height, width, 3). VideoError: it can't be read."""
    try:
        return np.ascontiguousarray(decode(fileio.get(os.path.join(folder, name)))[..., ::-1])
    except (OSError, NoImage) as error:
        raise VideoError(folder, f'{name}: {cause(error)}') from None


def with_images(results: dict, images: list[np.ndarray]) -> dict:
    """Adds decoded frames and their size to the results, and scales relative boxes to pixels.

    Args:
        results: of the pipeline.
        images: RGB, uint8, (height, width, 3), all of one size.
    """
    shape = images[0].shape[:2]
    results.update(imgs=images, original_shape=shape, img_shape=shape)
    if 'gt_bboxes' in results:
        scale = np.array([shape[1], shape[0]] * 2)
        for key in ('gt_bboxes', 'proposals'):
            if results.get(key) is not None:
                results[key] = (results[key] * scale).astype(np.float32)
    return results
