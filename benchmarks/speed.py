"""How much faster mmext computes networks on a processor than a plain implementation in torch's eager mode.

    benchmarks/speed.py                                                # four networks, all ways, one thread
    benchmarks/speed.py --subjects iresnet50 --modes inference --batches 8 --ways plain fp32 'openvino int8'

The first row of each network is what the others are compared with: for classifiers the textbook implementation in
benchmarks/textbook.py, for the others mmext's own network without any of its levers (`plain`), which is as fast as the
textbook where there is one. `fp32` and `bf16` are what `mmext train` and `mmext test` do without an engine, with
channels-last weights and kept memory; the other ways are those of --engine and --dtype.

Each way has a process of its own, because an allocator can't give back what it has kept. They take turns, one call each
in a round, so that a machine that slows down slows all of them. A speed-up is the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import textbook
import torch
from rich.console import Console
from rich.table import Table
from torch import nn

import mmext  # noqa: F401  repairs the stack before anything else is imported
from mmext.analysis.subjects import Spec, Subject, from_spec
from mmext.benchmark.machine import peak_of, processor, share_of_peak
from mmext.benchmark.setup import Setup
from mmext.benchmark.steps import Inference, TrainingStep
from mmext.engine import cli
from mmext.engine.allocator import VARIABLE
from mmext.errors import UserError
from mmext.export.engines import require_engine, use_engine

CLASSIFIERS = 'configs/classification/iresnet_imagenet.py'
SUBJECTS = {
    'iresnet50': Spec(CLASSIFIERS, 'iresnet50'),
    'iresgroup50': Spec(CLASSIFIERS, 'iresgroup50'),
    'SSD300-iResNet50': Spec('configs/ssd300_iresnet50_coco.py'),
    'iResNet3D-50': Spec('configs/iresnet3d50_kinetics400.py', size=(112, 112), frames=8),
}
CLOCKS = {'cpu': time.process_time, 'wall': time.perf_counter}
WARM_UP = 2  # calls


@dataclass(frozen=True)
class Way:
    """How a network is run: number format, memory format, whether memory is kept, engine, and whether it can train."""

    dtype: str = 'fp32'
    memory_format: str = 'channels_last'
    kept: bool = True
    engine: str = 'torch'
    trains: bool = False


WAYS = {
    'textbook': Way(memory_format='contiguous', kept=False, trains=True),
    'plain': Way(memory_format='contiguous', kept=False, trains=True),
    'fp32': Way(trains=True),
    'bf16': Way('bf16', trains=True),
    'compile': Way(engine='compile'),
    'onnxruntime': Way(engine='onnxruntime'),
    'openvino': Way(engine='openvino'),
    'openvino bf16': Way('bf16', engine='openvino'),
    'openvino int8': Way('int8', engine='openvino'),
}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--subjects', nargs='+', default=list(SUBJECTS), choices=SUBJECTS)
    parser.add_argument('--ways', nargs='+', default=list(WAYS), choices=WAYS)
    parser.add_argument('--modes', nargs='+', default=['training', 'inference'], choices=('training', 'inference'))
    parser.add_argument('--batches', nargs='+', type=int, default=[8, 1], help='of inference; the first also trains')
    parser.add_argument('--rounds', type=int, default=7)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--clock', choices=CLOCKS, help='default: cpu with one thread, else wall')
    parser.add_argument('--serve', type=json.loads, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    args.clock = args.clock or ('cpu' if args.threads == 1 else 'wall')
    if args.serve:
        serve(**args.serve)
        return
    for name in args.ways:
        require_engine(WAYS[name].engine, WAYS[name].dtype)
    peaks = {}
    for dtype in ('fp32', 'bf16'):
        setup = Setup(dtype=dtype, threads=args.threads)
        setup.apply()
        peaks[dtype] = peak_of(setup)
    print(f'{processor()}, torch {torch.__version__}, {args.threads} threads, {args.rounds} rounds, {args.clock} time; '
          f'peak {peaks["fp32"] / 1e9:.0f} GFLOP/s in fp32, {peaks["bf16"] / 1e9:.0f} in bf16')
    for subject in args.subjects:
        for mode in args.modes:
            for batch in args.batches[:1] if mode == 'training' else args.batches:
                table = Table('way', 'ms', 'times as fast', 'least, most', 'of peak', title_justify='left',
                              title=f'{subject}, {mode}, batch {batch}')
                for row in measured(subject, mode, batch, peaks, args):
                    table.add_row(*row)
                Console(width=120).print(table)


def measured(subject: str, mode: str, batch: int, peaks: dict[str, float], args: argparse.Namespace) -> list[list[str]]:
    """The rows of one network in one mode: way, milliseconds, speed-up and its range, share of the peak."""
    ways = [name for name in args.ways if (WAYS[name].trains or mode == 'inference')
            and (name != 'textbook' or subject in textbook.NETWORKS)]
    with tempfile.TemporaryDirectory() as folder:
        workers = {name: start(subject, mode, batch, name, folder, args) for name in ways}
        rounds = [{name: one_call(name, worker) for name, worker in workers.items()}
                  for _ in range(WARM_UP + args.rounds)][WARM_UP:]
        for worker in workers.values():
            worker.communicate()
    macs = macs_of(subject) * batch * (3 if mode == 'training' else 1)
    rows = []
    for name in ways:
        median = statistics.median(one[name] for one in rounds)
        ratios = sorted(one[ways[0]] / one[name] for one in rounds)
        peak = peaks.get(WAYS[name].dtype)
        rows.append([name, f'{1000 * median:.1f}', f'{statistics.median(ratios):.2f}',
                     f'{ratios[0]:.2f}, {ratios[-1]:.2f}',
                     f'{100 * share_of_peak(macs, 1 / median, peak):.0f} %' if peak else '-'])
    return rows


@cache
def macs_of(subject: str) -> int:
    """The multiply-accumulates of one sample."""
    return from_spec(SUBJECTS[subject]).complexity().macs


def start(subject: str, mode: str, batch: int, name: str, folder: str, args: argparse.Namespace) -> subprocess.Popen:
    """Starts the process of a way."""
    work = dict(subject=subject, mode=mode, batch=batch, name=name, folder=folder, threads=args.threads,
                clock=args.clock)
    return subprocess.Popen([sys.executable, __file__, '--serve', json.dumps(work)], text=True, stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, env={**os.environ, VARIABLE: '1' if WAYS[name].kept else '0',
                                                         'OMP_NUM_THREADS': str(args.threads)})


def one_call(name: str, worker: subprocess.Popen) -> float:
    """Has a process make one call; returns its seconds."""
    assert worker.stdin and worker.stdout
    worker.stdin.write('\n')
    worker.stdin.flush()
    for line in worker.stdout:
        if line.startswith('seconds '):
            return float(line.split()[1])
    raise UserError(f'{name}: its process ended with code {worker.wait()}')


def serve(subject: str, mode: str, batch: int, name: str, folder: str, threads: int, clock: str) -> None:
    """The process of a way: makes one call for each line that it reads, and prints its seconds."""
    torch.set_num_threads(threads)
    work = call_of(from_spec(SUBJECTS[subject]), mode, batch, name, Path(folder), threads, subject)
    for _ in sys.stdin:
        began = CLOCKS[clock]()
        work()
        print('seconds', CLOCKS[clock]() - began, flush=True)


def call_of(subject: Subject, mode: str, batch: int, name: str, folder: Path, threads: int,
            network: str) -> Callable[[], object]:
    """What is timed: a training step, or the network without what has no weights, such as suppression."""
    way = WAYS[name]
    setup = Setup(threads=threads, memory_format='contiguous' if len(subject.shape) == 4 else way.memory_format,
                  dtype=way.dtype if mode == 'training' else 'fp32')
    if name == 'textbook':
        return of_textbook(textbook.NETWORKS[network](), torch.randn(batch, *subject.shape), mode)
    if mode == 'training':
        return partial(TrainingStep(subject, setup).laps, subject.batch(batch))
    model = setup.place(subject.new_model().eval().requires_grad_(False))
    checkpoint = folder / f'{name}.pth'.replace(' ', '_')
    torch.save({}, checkpoint)
    use_engine(model, str(checkpoint), way.engine, way.dtype,
               [subject.batch(batch)] if way.dtype == 'int8' else None)
    return Inference(subject, model, setup, batch)


def of_textbook(model: nn.Module, images: torch.Tensor, mode: str) -> Callable[[], object]:
    """The same for a plain module of torch."""
    if mode == 'inference':
        return torch.inference_mode()(partial(model.eval(), images))
    labels = torch.randint(1000, (len(images), ))
    # A network that learns its one batch by heart soon has gradients so small that processors slow down on them.
    optimizer = torch.optim.SGD(model.train().parameters(), lr=1e-7, momentum=0.9)

    def train() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()

    return train


if __name__ == '__main__':
    cli.run(main)
