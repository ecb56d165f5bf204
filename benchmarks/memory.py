"""Peak memory and time of a training step with and without activation checkpointing.

    benchmarks/memory.py                                    # iresnet1001_cifar at batch 128
    benchmarks/memory.py --names iresnet164_cifar iresnet1001_cifar iresnet3002_cifar --batch 32

Each measurement has a process of its own. Memory is that of the process (on a GPU: of torch's allocator) at its peak,
less what it was with model and optimiser built. On a processor glibc is told to give freed tensors back at once (its
habit of keeping them doubles the figure); time is measured in another process, without that.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time

import torch

import mmext
from mmext.benchmark.memory import EXACT_ALLOCATOR, Gauge
from mmext.classification import Classifier
from mmext.engine import cli
from mmext.errors import UserError


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--names', nargs='+', default=['iresnet1001_cifar'])
    parser.add_argument('--batch', type=int, default=128)
    parser.add_argument('--size', type=int, default=32, help='pixels')
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--measure', choices=['plain', 'checkpointed'], help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if args.measure:
        print(json.dumps(measure(args.names[0], args.batch, args.size, args.device, args.measure == 'checkpointed')))
        return
    print(f'{"network":24}{"batch":>6}{"":>14}{"activations, GiB":>18}{"step, s":>9}')
    for name in args.names:
        found = {}
        for kind in ('plain', 'checkpointed'):
            found[kind] = in_own_process(name, args, kind)
            if args.device == 'cpu':
                found[kind]['bytes'] = in_own_process(name, args, kind, EXACT_ALLOCATOR)['bytes']
            print(f'{name:24}{args.batch:6}{kind:>14}{found[kind]["bytes"] / 2**30:18.2f}{found[kind]["seconds"]:9.1f}',
                  flush=True)
        ratios = [found['checkpointed'][key] / found['plain'][key] for key in ('bytes', 'seconds')]
        print(f'{"":24}{"":6}{"ratio":>14}{ratios[0]:18.3f}{ratios[1]:9.2f}', flush=True)


def in_own_process(name: str, args: argparse.Namespace, kind: str, env: dict | None = None) -> dict:
    done = subprocess.run([sys.executable, __file__, '--names', name, '--batch', str(args.batch), '--size',
                           str(args.size), '--device', args.device, '--measure', kind], capture_output=True, text=True,
                          env={**os.environ, **(env or {})})
    if done.returncode:
        reason = 'out of memory?' if done.returncode < 0 else done.stderr.strip().splitlines()[-1]
        raise UserError(f'{name}, {kind}: the measuring process ended with code {done.returncode} ({reason})')
    return json.loads(done.stdout)


def measure(name: str, batch: int, size: int, device: str, with_cp: bool) -> dict[str, float]:
    """One warm-up step on two images, then one step of a batch: {'bytes': ..., 'seconds': ...}."""
    model = Classifier(mmext.create_backbone(name, with_cp=with_cp), 10).to(device).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def step(images: int) -> None:
        optimizer.zero_grad()
        labels = torch.zeros(images, dtype=torch.long, device=device)
        logits = model(torch.randn(images, 3, size, size, device=device))
        torch.nn.functional.cross_entropy(logits, labels).backward()
        optimizer.step()

    step(2)
    gauge = Gauge(device)
    started = time.perf_counter()
    step(batch)
    grown = gauge.growth()  # of a GPU: once it has finished
    return {'bytes': grown, 'seconds': time.perf_counter() - started}


if __name__ == '__main__':
    cli.run(main)
