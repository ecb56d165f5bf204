"""What it costs to look at every loss, gradient and weight of each iteration: benchmarks/finite.py

Prints the milliseconds of a training step, and of what ``FiniteLossHook`` adds to it, measured in turn in one run.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch

import mmext
from mmext.backbones.trained import choose_device
from mmext.engine.hooks.numbers import GRADIENT, WEIGHT, FiniteCheck, norms_of


def milliseconds(call: Callable[[], object], device: torch.device) -> float:
    start = time.perf_counter()
    call()
    if device.type == 'cuda':
        torch.cuda.synchronize()
    return 1000 * (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--backbone', default='iresnet50')
    parser.add_argument('--batch', type=int, default=2)
    parser.add_argument('--size', type=int, default=224)
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--device')
    args = parser.parse_args()
    device = choose_device(args.device)
    net = mmext.create_classifier(args.backbone).to(device)
    images = torch.randn(args.batch, 3, args.size, args.size, device=device)
    weights = dict(net.named_parameters())

    def step() -> None:
        net(images).square().mean().backward()

    def look() -> None:
        gradients = {name: value.grad for name, value in weights.items()}
        FiniteCheck(1, {GRADIENT: norms_of(gradients), WEIGHT: norms_of(weights)}, {}).first_process()

    step()
    times = [(milliseconds(step, device), milliseconds(look, device)) for _ in range(args.repeats)]
    steps, looks = (statistics.median(column) for column in zip(*times))
    print(f'{args.backbone}, {args.batch} images of {args.size} pixels on {device}: step {steps:.1f} ms, look '
          f'{looks:.2f} ms, {looks / steps:.1%} of it')


if __name__ == '__main__':
    main()
