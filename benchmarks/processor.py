"""What channels-last weights, kept memory and bf16 bring on a processor, and what they cost in memory.

    benchmarks/processor.py                                  # SSD300-iResNet50, iresnet50 and iresgroup50, batch 8
    benchmarks/processor.py --backbones iresnet18 --rounds 9 --threads 1

Each measurement has a process of its own, because what an allocator has kept can't be given back. One round runs every
lever once, in turn, so that a machine that slows down slows all of them. A speed-up is the median of the rounds' ratios
to plain fp32 (and its least and largest); memory is the peak of the whole process.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from functools import partial

import torch
from rich.console import Console
from rich.table import Table

import mmext  # noqa: F401  repairs the stack before anything else is imported
from mmext.analysis.subjects import Spec, from_spec
from mmext.benchmark.memory import status
from mmext.benchmark.setup import Setup
from mmext.benchmark.steps import Inference, TrainingStep, network
from mmext.engine import cli
from mmext.engine.allocator import VARIABLE
from mmext.errors import UserError

DETECTOR, CLASSIFIER = 'configs/ssd300_iresnet50_coco.py', 'configs/classification/iresnet_imagenet.py'
# lever -> number format, memory format, whether memory is kept
LEVERS = {
    'plain': ('fp32', 'contiguous', False),
    'channels last': ('fp32', 'channels_last', False),
    'kept memory': ('fp32', 'contiguous', True),
    'both': ('fp32', 'channels_last', True),
    'both, bf16': ('bf16', 'channels_last', True),
}
STEPS = 3


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--backbones', nargs='+', default=['iresnet50', 'iresgroup50'])
    parser.add_argument('--batch', type=int, default=8)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--threads', type=int, default=torch.get_num_threads())
    parser.add_argument('--measure', type=json.loads, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if args.measure:
        print(json.dumps(measure(**args.measure)))
        return
    print(f'torch {torch.__version__}, {args.threads} threads, batch {args.batch}, {args.rounds} rounds')
    table = Table('network', 'mode', 'lever', 'ms', 'speed-up, median (min to max)', 'peak memory, MiB')
    subjects = [(DETECTOR, args.backbones[0]), *((CLASSIFIER, name) for name in args.backbones)]
    for path, backbone in subjects:
        for mode in ('training step', 'inference'):
            for row in rows(path, backbone, mode, args):
                table.add_row(*row)
    Console(width=120).print(table)


def rows(path: str, backbone: str, mode: str, args: argparse.Namespace) -> list[list[str]]:
    """The levers of one network, measured in turn."""
    found: dict[str, list[dict]] = {lever: [] for lever in LEVERS}
    for _ in range(args.rounds):
        for lever, (dtype, memory_format, kept) in LEVERS.items():
            work = dict(path=path, backbone=backbone, training=mode == 'training step', batch=args.batch, dtype=dtype,
                        memory_format=memory_format, threads=args.threads)
            found[lever].append(in_own_process(work, kept))
    name = f'SSD300-{backbone}' if path == DETECTOR else backbone
    return [[name, mode, lever, f'{1000 * statistics.median(one["seconds"] for one in found[lever]):.0f}',
             ratio(found['plain'], found[lever]), f'{max(one["bytes"] for one in found[lever]) / 2**20:.0f}']
            for lever in LEVERS]


def ratio(plain: list[dict], lever: list[dict]) -> str:
    ratios = sorted(one['seconds'] / other['seconds'] for one, other in zip(plain, lever))
    return f'{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})'


def in_own_process(work: dict, kept: bool) -> dict[str, float]:
    done = subprocess.run([sys.executable, __file__, '--measure', json.dumps(work)], capture_output=True, text=True,
                          env={**os.environ, VARIABLE: '1' if kept else '0'})
    if done.returncode:
        raise UserError(f'{work["path"]}, {work["backbone"]}: the measuring process ended with code {done.returncode} '
                        f'({done.stderr.strip().splitlines()[-1:]})')
    return json.loads(done.stdout.splitlines()[-1])


def measure(path: str, backbone: str, training: bool, batch: int, threads: int, **formats: str) -> dict[str, float]:
    """The quickest of some steps in this process, after a warm-up: {'seconds': ..., 'bytes': ...}."""
    setup = Setup(threads=threads, **formats)
    setup.apply()
    subject = from_spec(Spec(path, backbone))
    if training:
        call = partial(TrainingStep(subject, setup).laps, subject.batch(batch))
    else:
        call = Inference(subject, network(subject, setup), setup, batch)
    seconds = []
    for _ in range(1 + STEPS):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return {'seconds': min(seconds[1:]), 'bytes': status('VmHWM')}


if __name__ == '__main__':
    cli.run(main)
