"""Speed of our networks beside a plain textbook implementation, in one run: ratios, not seconds.

    benchmarks/speed.py                        # iresnet50 and iresgroup50, batch 8, 224 pixels
    benchmarks/speed.py --device cuda --repeats 50

Every cell interleaves the implementations, repeat by repeat, so that a machine that slows down slows all of them. A
ratio is the median of the repeats' ratios; below 1 means that ours takes less time.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import textbook
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

import mmext
from mmext.classification import Classifier
from mmext.compat import installed
from mmext.engine import cli


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--names', nargs='+', default=['iresnet50', 'iresgroup50'], choices=sorted(textbook.NETWORKS))
    parser.add_argument('--batch', type=int, default=8)
    parser.add_argument('--size', type=int, default=224, help='pixels')
    parser.add_argument('--repeats', type=int, default=9)
    parser.add_argument('--device', default='cpu')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    print(f'torch {torch.__version__}, {args.device}, {torch.get_num_threads()} threads, batch {args.batch}, '
          f'{args.size} pixels, {args.repeats} repeats')
    table = Table('network', 'mode', 'memory format', 'ours, ms', 'textbook, ms',
                  *(f'ours / {other}, median (min to max)' for other in others()))
    for name in args.names:
        for memory_format in (torch.contiguous_format, torch.channels_last):
            for mode in ('training step', 'inference'):
                table.add_row(name, mode, str(memory_format).removeprefix('torch.'), *cell(name, mode, memory_format,
                                                                                           args))
    Console(width=140).print(table)


def others() -> list[str]:
    """What ours is compared with; torchvision's resnet50 where it is installed."""
    return ['textbook', 'torchvision'] if installed('torchvision') else ['textbook']


def cell(name: str, mode: str, memory_format: torch.memory_format, args: argparse.Namespace) -> list[str]:
    """Times the implementations of one network in turn; the columns of its row."""
    models = {'ours': Classifier(mmext.create_backbone(name), 1000), 'textbook': textbook.NETWORKS[name]()}
    if 'torchvision' in others():
        from torchvision.models import resnet50
        models['torchvision'] = resnet50()
    images = torch.randn(args.batch, 3, args.size, args.size, device=args.device)
    images = images.contiguous(memory_format=memory_format)
    steps = {key: step(model.to(args.device, memory_format=memory_format), images, mode)
             for key, model in models.items()}
    seconds: dict[str, list[float]] = {key: [] for key in steps}
    for repeat in range(args.repeats + 1):
        order = list(steps) if repeat % 2 else list(reversed(steps))
        for key in order:
            elapsed = timed(steps[key], args.device)
            if repeat:  # the first is a warm-up
                seconds[key].append(elapsed)
    columns = [f'{1000 * statistics.median(seconds[key]):.1f}' for key in ('ours', 'textbook')]
    return columns + [ratio(seconds, key) for key in others()]


def ratio(seconds: dict[str, list[float]], key: str) -> str:
    ratios = sorted(ours / other for ours, other in zip(seconds['ours'], seconds[key]))
    return f'{statistics.median(ratios):.3f} ({ratios[0]:.2f} to {ratios[-1]:.2f})'


def step(model: nn.Module, images: Tensor, mode: str) -> Callable[[], None]:
    """One call of this is what is timed."""
    if mode == 'inference':
        model.eval()
        return torch.inference_mode()(lambda: model(images))
    model.train()
    labels = torch.randint(1000, (len(images), ), device=images.device)
    # A network that learns its one batch by heart soon has gradients so small that processors slow down on them.
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-7, momentum=0.9)

    def train() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()

    return train


def timed(run: Callable[[], None], device: str) -> float:
    started = time.perf_counter()
    run()
    if device != 'cpu':
        torch.cuda.synchronize()
    return time.perf_counter() - started


if __name__ == '__main__':
    cli.run(main)
