"""Time of a trained model with each engine and number format, and how much its scores differ from torch's in fp32.

    benchmarks/engines.py work_dirs/demo/epoch_10.pth data/shapes/val2017
    benchmarks/engines.py work_dirs/demo_video/epoch_10.pth clips/ --only torch openvino --threads 1
    benchmarks/engines.py work_dirs/demo/epoch_10.pth data/shapes/val2017 --test configs/ssd300_iresnet50_coco.py \
        --backbone iresnet18 --data-root data/shapes --classes auto --cfg-options test_dataloader.num_workers=0 \
        test_dataloader.persistent_workers=False

A model is called with one image or video at a time, decoding and non-maximum suppression included. All engines take
turns in every round; a ratio is the median over the rounds of torch's time divided by theirs. With --threads 1 it is
the processor's time, which other programs disturb less. With --test, which is followed by the config and other
arguments of a test, the metrics with each engine are printed too. 8 bits are measured if such a test has made the file
beside the checkpoint.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import MMLogger

import mmext
from mmext.data.inputs import files_in
from mmext.engine import cli
from mmext.engine.flags.testing import DTYPES, ENGINES
from mmext.errors import UserError
from mmext.export.runtimes import RUNTIMES

RUNS = [(engine, dtype) for engine in ENGINES for dtype in DTYPES
        if dtype == 'fp32' or dtype == 'bf16' and engine != 'onnxruntime' or dtype == 'int8' and engine in RUNTIMES]
TEST = Path(__file__).parents[1] / 'tools' / 'test.py'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('checkpoint')
    parser.add_argument('inputs', type=Path, help='a folder of images or videos')
    parser.add_argument('--only', nargs='+', choices=ENGINES, default=ENGINES)
    parser.add_argument('--repeats', type=int, default=5, metavar='N', help='rounds (default: %(default)s)')
    parser.add_argument('--limit', type=int, default=8, metavar='N', help='files (default: %(default)s)')
    parser.add_argument('--threads', type=int, metavar='N', help="threads (default: torch's)")
    parser.add_argument('--test', nargs=argparse.REMAINDER, default=[], metavar='CONFIG ...',
                        help='also test with each engine: the config, and other arguments of a test; the last flag')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    MMLogger.get_current_instance().setLevel('WARNING')
    runs = [run for run in RUNS if run[0] in ('torch', *args.only)]
    if args.test:
        print_metrics({run: metrics_of(args.checkpoint, run, args.test) for run in runs})
    models = {run: mmext.load(args.checkpoint, engine=run[0], dtype=run[1], device='cpu') for run in runs
              if run[1] != 'int8' or list(Path(args.checkpoint).parent.glob('*.int8.onnx'))}
    files = files_in(args.inputs, models[RUNS[0]].task.inputs)[:args.limit]
    if not files:
        raise UserError(f'{args.inputs}: no images or videos in this folder')
    clock = time.process_time if args.threads == 1 else time.perf_counter
    scores, seconds = {}, {run: [] for run in models}
    for turn in range(args.repeats + 1):  # the first one warms up
        for run, model in models.items():
            started = clock()
            scores[run] = [scores_of(model(path)) for path in files]
            if turn:
                seconds[run].append(clock() - started)
    print(f'{len(files)} files, {torch.get_num_threads()} threads, {args.repeats} rounds')
    print(f'{"engine":14}{"dtype":6}{"ms a file":>11}{"times as fast":>15}{"range":>14}{"difference of scores":>22}')
    for run, times in seconds.items():
        ratios = np.array(seconds[RUNS[0]]) / times
        worst = max(map(difference, scores[run], scores[RUNS[0]]))
        print(f'{run[0]:14}{run[1]:6}{1000 * np.median(times) / len(files):11.1f}{np.median(ratios):15.2f}'
              f'{f"{ratios.min():.2f} to {ratios.max():.2f}":>14}{worst:22.1e}')


def metrics_of(checkpoint: str, run: tuple[str, str], test: list[str]) -> dict[str, float]:
    """The metrics of ``mmext test`` with an engine and a number format, in percent."""
    config, *others = test
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, 'metrics.json')
        command = [sys.executable, TEST, config, checkpoint, '--work-dir', folder, '--out', out, '--engine', run[0],
                   '--dtype', run[1], *others]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        if done.returncode:
            raise UserError(done.stderr.strip().splitlines()[-1])
        return {name: 100 * value for name, value in json.loads(out.read_text()).items()}


def print_metrics(found: dict[tuple[str, str], dict[str, float]]) -> None:
    """Prints the first three metrics with each engine, and the largest difference of any metric from torch's."""
    base = found[RUNS[0]]
    names = list(base)[:3]
    print(f'{"engine":14}{"dtype":6}' + ''.join(f'{name:>16}' for name in names) + f'{"difference of any":>20}')
    for run, metrics in found.items():
        worst = max(abs(metrics[name] - base[name]) for name in base)
        print(f'{run[0]:14}{run[1]:6}' + ''.join(f'{metrics[name]:16.2f}' for name in names) + f'{worst:20.2f}')


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """The largest difference of two lists of scores, as far as both go."""
    count = min(len(one), len(other))
    return float(np.abs(one[:count] - other[:count]).max(initial=0))


def scores_of(found: object) -> np.ndarray:
    """The scores of a result, highest first."""
    return np.array(found.as_json()['scores'])


if __name__ == '__main__':
    cli.run(main)
