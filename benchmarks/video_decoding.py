"""mmaction2's way from a video file to frames (decord) against mmext's (PyAV): how many times as long it takes.

    benchmarks/video_decoding.py                      # generates clips of every codec, size and length
    benchmarks/video_decoding.py a.mp4 videos/*.webm --repeats 15

Three samplings: `clip` 16 frames at stride 2 from a random place, `uniform` 8 frames over the file, `10 clips` of 16
at stride 2. Both take the same frames, one after the other, alternating who is first; a repeat draws a new random
place. A ratio is decord's time over ours: its median over the repeats, and their range; `together` is the ratio of a
file's times summed over the three samplings. One thread each, as in a loader's worker. `--clock cpu` counts the
processor's time, of all threads, which other work on the machine disturbs less.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import av
import cv2
import numpy as np

from mmext.engine import cli
from mmext.video.transforms import DecodeVideo, OpenVideo

CLOCKS = {'wall': time.perf_counter, 'cpu': time.process_time}
SAMPLINGS = {'clip': dict(clip_len=16, frame_interval=2, num_clips=1),
             'uniform': dict(clip_len=1, frame_interval=1, num_clips=8, test_mode=True),
             '10 clips': dict(clip_len=16, frame_interval=2, num_clips=10, test_mode=True)}
CODECS = {'libx264': 'mp4', 'libx265': 'mp4', 'libvpx-vp9': 'webm', 'mpeg4': 'mp4'}
OPTIONS = {'libx264': {'preset': 'veryfast'},
           'libx265': {'preset': 'ultrafast', 'x265-params': 'log-level=none:bframes=3'},
           'libvpx-vp9': {'deadline': 'realtime', 'cpu-used': '8'}}
CLIPS = [(320, 240, 25), (426, 240, 240), (640, 360, 120), (1280, 720, 60), (1920, 1080, 30)]


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('files', nargs='*', help='videos (default: generated ones)')
    parser.add_argument('--repeats', type=int, default=7)
    parser.add_argument('--threads', type=int, default=1, help="of either's codec")
    parser.add_argument('--clock', choices=CLOCKS, default='wall', help="'cpu' for a busy machine (default: wall)")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    cv2.setNumThreads(args.threads)
    import decord
    print(f'av {av.__version__}, decord {decord.__version__}, {args.threads} thread(s) each, {os.cpu_count()} cores, '
          f'load {os.getloadavg()[0]:.1f}, {args.repeats} repeats, {args.clock} time')
    print(f'{"file":28}{"codec":>7}{"size":>11}{"frames":>8}  ' + ''.join(
        f'{name + ": ms, ratio (range)":>34}' for name in SAMPLINGS) + f'{"together":>10}', flush=True)
    with tempfile.TemporaryDirectory() as folder:
        files = args.files or generated(Path(folder))
        ratios = {name: [] for name in (*SAMPLINGS, 'together')}
        for file in files:
            tell_file(str(file), args, ratios)
    for name, found in ratios.items():
        print(f'{name:10} median of {len(found)} files {median(found):.2f}, from {min(found):.2f} to {max(found):.2f}')


def tell_file(file: str, args: argparse.Namespace, ratios: dict[str, list[float]]) -> None:
    """Measures one file and prints its line."""
    with av.open(file) as container:
        stream = container.streams.video[0]
        codec, size = stream.codec_context.name, f'{stream.width}x{stream.height}'
    opened = OpenVideo().transform(dict(filename=file))
    opened['video_reader'].close()
    line = f'{Path(file).name[-27:]:28}{codec:>7}{size:>11}{opened["total_frames"]:8}  '
    sums = [0.0, 0.0]
    for name, sampling in SAMPLINGS.items():
        times = compare(file, sampling, args)
        ratio = [theirs / ours for theirs, ours in times]
        ratios[name].append(median(ratio))
        medians = [median(seconds) for seconds in zip(*times)]
        sums = [total + seconds for total, seconds in zip(sums, medians)]
        line += f'{1000 * medians[1]:14.1f}{ratios[name][-1]:7.2f} ({min(ratio):.2f}-{max(ratio):.2f})'
    ratios['together'].append(sums[0] / sums[1])
    print(f'{line}{ratios["together"][-1]:10.2f}', flush=True)


def compare(file: str, sampling: dict, args: argparse.Namespace) -> list[tuple[float, float]]:
    """(decord's seconds, ours) of each repeat, after one that is not counted."""
    from mmaction.datasets.transforms import DecordDecode, DecordInit, SampleFrames
    sample = SampleFrames(**sampling)
    ways = [[DecordInit(num_threads=args.threads), sample, DecordDecode()],
            [OpenVideo(threads=args.threads), sample, DecodeVideo()]]
    times = []
    for repeat in range(args.repeats + 1):
        seconds = [0.0, 0.0]
        for way in (0, 1) if repeat % 2 else (1, 0):
            np.random.seed(repeat)  # the same frames for both
            seconds[way] = timed(lambda way=way: run(ways[way], file), CLOCKS[args.clock])
        times.append(tuple(seconds))
    return times[1:]


def run(transforms: list, file: str) -> dict:
    results = dict(filename=file, start_index=0)
    for transform in transforms:
        results = transform(results)
    return results


def timed(work: Callable[[], object], clock: Callable[[], float]) -> float:
    started = clock()
    work()
    return clock() - started


def generated(folder: Path) -> list[Path]:
    """A clip of each codec that the library can write and each size, of moving texture."""
    files = []
    for name, suffix in CODECS.items():
        try:
            av.codec.Codec(name, 'w')
        except ValueError:
            print(f'this av has no {name}')
            continue
        for width, height, frames in CLIPS:
            files.append(folder / f'{name}_{height}p_{frames}.{suffix}')
            write_clip(files[-1], name, width, height, frames)
    return files


def write_clip(path: Path, codec: str, width: int, height: int, frames: int) -> None:
    """A texture that pans, under a brighter disc that crosses it, as coarse as real pictures are."""
    texture = np.random.default_rng(0).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), np.uint8)
    texture = cv2.resize(texture, (width, height), interpolation=cv2.INTER_CUBIC)
    with av.open(str(path), 'w') as container:
        stream = container.add_stream(codec, rate=25, options=OPTIONS.get(codec, {}))
        stream.width, stream.height, stream.pix_fmt = width, height, 'yuv420p'
        stream.bit_rate = width * height * 3
        stream.codec_context.max_b_frames = 2 if codec == 'mpeg4' else stream.codec_context.max_b_frames
        stream.codec_context.gop_size = 250 if codec != 'mpeg4' else 12
        for i in range(frames):
            image = np.roll(texture, (2 * i, 3 * i), (0, 1))
            cv2.circle(image, (width * i // frames, height // 2), height // 5, (255, 255, 200), -1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
        container.mux(stream.encode())


if __name__ == '__main__':
    cli.run(main)
