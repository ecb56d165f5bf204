"""Video files of several codecs, whole ones and damaged ones.

Oracle: PyAV, which decodes the whole file. A whole file has its frames; of a damaged one, what is accepted has the
frames that a decode of the whole file gives.
"""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

import mmext.video  # noqa: F401
from mmext.data.video import VideoReader
from tests.soak.cases.junk import DAMAGE, damaged
from tests.video.clips import whole, write

ALLOWED = ()
FRAMES = 20
KINDS = ('h264.mp4', 'open_gop.mkv', 'h264.avi', 'vp9.webm', 'mpeg4.avi', 'mpeg2.ts', 'hevc.mp4', 'intra.mp4')
draw = st.tuples(st.sampled_from(KINDS), st.lists(st.integers(0, FRAMES - 1), min_size=1, max_size=4),
                 st.one_of(st.just([]), DAMAGE))


@functools.cache
def clip(kind: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return write(Path(folder, kind), kind, FRAMES, (64, 48)).read_bytes()


def check(example: tuple, folder: Path) -> None:
    kind, numbers, damage = example
    path = folder / f'clip{Path(kind).suffix}'
    path.write_bytes(damaged(clip(kind), damage))
    with VideoReader(path) as reader:
        numbers = [number % len(reader) for number in numbers]
        frames = reader.images(numbers)
        length = len(reader)
    try:
        expected = whole(path)
    except Exception:
        assert damage
        return
    assert length == len(expected) or damage, f'{length} frames, and PyAV decodes {len(expected)}'
    for number, frame in zip(numbers, frames):
        assert number < len(expected), f'frame {number} is given, and PyAV decodes {len(expected)}'
        assert np.array_equal(frame, expected[number]), f'frame {number} is not what a decode of the whole file gives'
