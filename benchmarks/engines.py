"""Time of a trained model with each engine and number format, and how much its scores differ from torch's in fp32.

    benchmarks/engines.py work_dirs/demo/epoch_10.pth data/shapes/val2017
    benchmarks/engines.py work_dirs/demo_video/epoch_10.pth clips/ --only torch openvino --threads 1

A model is called with one image or video at a time, decoding and non-maximum suppression included. All engines take
turns in every round; a ratio is the median over the rounds of torch's time divided by theirs.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import MMLogger

import mmext
from mmext.data.inputs import files_in
from mmext.engine import cli
from mmext.engine.flags.testing import ENGINES
from mmext.errors import UserError

RUNS = [(engine, dtype) for engine in ENGINES for dtype in ('fp32', 'bf16')
        if (engine, dtype) != ('onnxruntime', 'bf16')]


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('checkpoint')
    parser.add_argument('inputs', type=Path, help='a folder of images or videos')
    parser.add_argument('--only', nargs='+', choices=ENGINES, default=ENGINES)
    parser.add_argument('--repeats', type=int, default=5, metavar='N', help='rounds (default: %(default)s)')
    parser.add_argument('--limit', type=int, default=8, metavar='N', help='files (default: %(default)s)')
    parser.add_argument('--threads', type=int, metavar='N', help="threads (default: torch's)")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    MMLogger.get_current_instance().setLevel('WARNING')
    models = {run: mmext.load(args.checkpoint, engine=run[0], dtype=run[1], device='cpu') for run in RUNS
              if run[0] in ('torch', *args.only)}
    files = files_in(args.inputs, models[RUNS[0]].task.inputs)[:args.limit]
    if not files:
        raise UserError(f'{args.inputs}: no images or videos in this folder')
    scores, seconds = {}, {run: [] for run in models}
    for turn in range(args.repeats + 1):  # the first one warms up
        for run, model in models.items():
            started = time.perf_counter()
            scores[run] = [scores_of(model(path)) for path in files]
            if turn:
                seconds[run].append(time.perf_counter() - started)
    print(f'{len(files)} files, {torch.get_num_threads()} threads, {args.repeats} rounds')
    print(f'{"engine":14}{"dtype":6}{"ms a file":>11}{"times as fast":>15}{"range":>14}{"difference of scores":>22}')
    for run, times in seconds.items():
        ratios = np.array(seconds[RUNS[0]]) / times
        worst = max(map(difference, scores[run], scores[RUNS[0]]))
        print(f'{run[0]:14}{run[1]:6}{1000 * np.median(times) / len(files):11.1f}{np.median(ratios):15.2f}'
              f'{f"{ratios.min():.2f} to {ratios.max():.2f}":>14}{worst:22.1e}')


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """The largest difference of two lists of scores, as far as both go."""
    count = min(len(one), len(other))
    return float(np.abs(one[:count] - other[:count]).max(initial=0))


def scores_of(found: object) -> np.ndarray:
    """The scores of a result, highest first."""
    return np.array(found.as_json()['scores'])


if __name__ == '__main__':
    cli.run(main)
