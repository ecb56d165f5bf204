"""Small clips of every kind, and what a decode of the whole file gives."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

OPEN_GOP = {'x264-params': 'open-gop=1:keyint=12:bframes=3:scenecut=0'}
X265 = 'log-level=none:pools=none:keyint=12:bframes=3:'
KINDS = {  # name -> codec, options, encoder's attributes
    'h264.mp4': ('libx264', {'x264-params': 'keyint=12:bframes=3:scenecut=0'}, {}),
    'one_key.mp4': ('libx264', {'x264-params': 'keyint=infinite:bframes=3:scenecut=0'}, {}),
    'no_b.mp4': ('libx264', {'x264-params': 'keyint=12:bframes=0:scenecut=0'}, {}),
    'intra.mp4': ('libx264', {'x264-params': 'keyint=1'}, {}),
    'refresh.ts': ('libx264', {'x264-params': 'intra-refresh=1:keyint=12:bframes=0'}, {}),
    'open_gop.mp4': ('libx264', OPEN_GOP, {}),
    'open_gop.mkv': ('libx264', OPEN_GOP, {}),
    'open_gop.ts': ('libx264', OPEN_GOP, {}),
    'h264.avi': ('libx264', {'x264-params': 'keyint=12:bframes=3:scenecut=0'}, {}),
    'fragments.mp4': ('libx264', {'x264-params': 'keyint=12:bframes=3:scenecut=0'}, {}),
    'hevc.mp4': ('libx265', {'x265-params': X265 + 'open-gop=1'}, {}),
    'layers.mp4': ('libx265', {'x265-params': X265 + 'temporal-layers=3'}, {}),
    'hevc.mkv': ('libx265', {'x265-params': X265 + 'open-gop=0'}, {}),
    'vp9.webm': ('libvpx-vp9', {'deadline': 'good', 'cpu-used': '5', 'lag-in-frames': '12', 'auto-alt-ref': '1'},
                 {'gop_size': 15}),
    'vp8.webm': ('libvpx', {'deadline': 'good', 'cpu-used': '5', 'lag-in-frames': '12', 'auto-alt-ref': '1'},
                 {'gop_size': 15}),
    'mpeg4.mp4': ('mpeg4', {}, {'gop_size': 12, 'max_b_frames': 2}),
    'mpeg4.avi': ('mpeg4', {}, {'gop_size': 12, 'max_b_frames': 2}),
    'no_b.avi': ('mpeg4', {}, {'gop_size': 12, 'max_b_frames': 0}),
    'mpeg2.mpg': ('mpeg2video', {}, {'gop_size': 12, 'max_b_frames': 2}),
    'mpeg2.ts': ('mpeg2video', {}, {'gop_size': 12, 'max_b_frames': 2}),
}
MUXER = {'fragments.mp4': {'movflags': 'frag_keyframe+empty_moov'}}
BITS = 6


def picture(number: int, width: int, height: int, noise: np.ndarray) -> np.ndarray:
    """Moving noise with the number in six black or white squares at the top."""
    image = np.roll(noise, 2 * number, 1)[:height, :width] // 2 + 50
    for bit in range(BITS):
        image[:8, 8 * bit:8 * bit + 8] = 255 * (number >> bit & 1)
    return image


def number_of(image: np.ndarray) -> int:
    """The number in a picture."""
    return sum((int(image[2:6, 8 * bit + 2:8 * bit + 6].mean()) > 128) << bit for bit in range(BITS))


def write(path: Path, kind: str = 'h264.mp4', frames: int = 40, size: tuple[int, int] = (64, 48),
          pts: Sequence[int] | None = None, rotation: int | None = None) -> Path:
    """Writes a clip.

    Args:
        path: its suffix chooses the container.
        kind: of ``KINDS``.
        frames: at most 64, so that each has a number of its own.
        size: (width, height).
        pts: times of the frames in milliseconds; by default 25 a second.
        rotation: degrees, counter-clockwise, for the player to turn it by.
    """
    codec, options, attributes = KINDS[kind]
    noise = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), np.uint8)
    with av.open(str(path), 'w', options=MUXER.get(kind, {})) as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height = size
        stream.pix_fmt = 'yuv444p' if size[0] % 2 else 'yuv420p'
        stream.codec_context.thread_count = 1
        for name, value in attributes.items():
            setattr(stream.codec_context, name, value)
        if pts:
            stream.codec_context.time_base = Fraction(1, 1000)
        if rotation is not None:
            stream.set_display_rotation(rotation)
        for i in range(frames):
            frame = av.VideoFrame.from_ndarray(picture(i, *size, noise))
            if pts:
                frame.pts, frame.time_base = pts[i], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def copy(source: Path, path: Path, seconds: float = 0, skipped: int = 0, **muxer: str) -> Path:
    """Copies the packets but the first ones, at a shifted time, into a new container."""
    with av.open(str(source)) as read, av.open(str(path), 'w', options=muxer) as written:
        stream = written.add_stream_from_template(read.streams.video[0])
        for i, packet in enumerate(read.demux(video=0)):
            if packet.dts is not None and i >= skipped:
                shift = round(seconds / packet.time_base)
                packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, stream
                written.mux(packet)
    return path


def write_sound(path: Path) -> Path:
    """A second of silence."""
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('pcm_s16le' if path.suffix == '.wav' else 'aac', rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), format='s16', layout='mono')
        frame.rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def whole(path: Path) -> list[np.ndarray]:
    """Every frame of a file, decoded in order, as the library converts it."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format='rgb24') for frame in container.decode(video=0)]
