"""Steps of a pipeline that read videos, of which some can't be read."""

from __future__ import annotations

import numpy as np
from mmcv.transforms import BaseTransform

from mmext.errors import UserError
from mmext.registry import TRANSFORMS
from mmext.video.decode import VideoError, VideoReader


class VideoTransform(BaseTransform):
    """What to do with a file that can't be read, the same when it is opened and when it is decoded.

    Args:
        on_error: 'skip' (the data set draws another one, as in training) or 'raise'.
        log_file: where skipped files are noted, a line each: path, tab, reason. Safe for many processes.

    Raises:
        UserError: with 'raise', naming the file.
    """

    def __init__(self, on_error: str = 'raise', log_file: str | None = None) -> None:
        if on_error not in ('skip', 'raise'):
            raise UserError(f"{type(self).__name__}: on_error={on_error!r} is none of 'skip', 'raise'")
        self.on_error = on_error
        self.log_file = log_file

    def transform(self, results: dict) -> dict | None:
        try:
            return self.read(results)
        except VideoError as error:
            reader = results.pop('video_reader', None)
            if reader is not None:
                reader.close()
            if self.on_error == 'raise':
                raise UserError(f'{error}; mend or remove it, or give --skip-unreadable to tools/test.py') from None
            note(self.log_file, results['filename'], error.reason)
            return None

    def read(self, results: dict) -> dict:
        raise NotImplementedError


def note(log_file: str | None, path: str, reason: str) -> None:
    """Notes a file as left out; ``mmext.data.loading.read_log`` reads it."""
    if log_file:
        with open(log_file, 'a') as log:
            log.write(f'{path}\t{" ".join(reason.split())}\n')


@TRANSFORMS.register_module()
class OpenVideo(VideoTransform):
    """Opens ``filename``; in the place of mmaction2's ``DecordInit``.

    Adds video_reader (a ``VideoReader``), total_frames and avg_fps, and start_index = 0 where there is none, so that
    mmaction2's samplers can follow.

    Args:
        threads: of the codec; one is best in a loader's worker.
        short_side: resize while decoding, so that the shorter side has that many pixels.
        on_error, log_file: see ``VideoTransform``.
    """

    def __init__(self, threads: int = 1, short_side: int | None = None, on_error: str = 'raise',
                 log_file: str | None = None) -> None:
        super().__init__(on_error, log_file)
        self.threads = threads
        self.short_side = short_side

    def read(self, results: dict) -> dict:
        reader = VideoReader(results['filename'], self.threads, self.short_side)
        results.update(video_reader=reader, total_frames=len(reader), avg_fps=reader.fps)
        results.setdefault('start_index', 0)
        return results


@TRANSFORMS.register_module()
class DecodeVideo(VideoTransform):
    """Decodes ``frame_inds`` of the open video and closes it; in the place of mmaction2's ``DecordDecode``.

    Adds imgs, a list of RGB arrays (height, width, 3) of uint8, and original_shape and img_shape, (height, width).
    """

    def read(self, results: dict) -> dict:
        results['frame_inds'] = np.reshape(results['frame_inds'], -1)
        images = results['video_reader'].images(results['frame_inds'])
        results['video_reader'].close()
        shape = images[0].shape[:2]
        results.update(video_reader=None, imgs=images, original_shape=shape, img_shape=shape)
        if 'gt_bboxes' in results:
            scale = np.array([shape[1], shape[0]] * 2)
            for key in ('gt_bboxes', 'proposals'):
                if results.get(key) is not None:
                    results[key] = (results[key] * scale).astype(np.float32)
        return results
