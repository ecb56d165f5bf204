"""What --deterministic costs: the time of a training step with it over the time without, by turns in one process.

    python benchmarks/deterministic.py

mmengine's switch, which --deterministic sets, allows deterministic algorithms alone and has new memory filled. On a GPU
it also takes cuDNN's deterministic convolutions without a search for the fastest.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from mmengine.runner import set_random_seed

import mmext

CASES = {  # name of a classifier, one batch
    'iresnet18': (4, 3, 224, 224),
    'iresnet50': (2, 3, 224, 224),
    'iresnet18 for clips': (2, 3, 8, 112, 112),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--turns', type=int, default=7, help='of each way (default: %(default)s)')
    parser.add_argument('--threads', type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    print(f'on {device}, {args.threads} threads: time of a step with --deterministic over that without')
    for name, shape in CASES.items():
        ratios = compare(name, shape, device, args.turns)
        print(f'{name:12} {statistics.median(ratios):.3f}  ({min(ratios):.3f} to {max(ratios):.3f})', flush=True)


def compare(name: str, shape: tuple[int, ...], device: str, turns: int) -> list[float]:
    """The ratio of each turn."""
    model = mmext.create_classifier(name.split()[0], num_classes=10, dims=len(shape) - 2).to(device).train()
    images, labels = torch.randn(shape, device=device), torch.zeros(shape[0], dtype=torch.long, device=device)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)

    def step() -> float:
        begin = time.perf_counter()
        optimizer.zero_grad()
        logits = model(images, mode='tensor')
        torch.nn.functional.cross_entropy(logits, labels).backward()
        optimizer.step()
        if device == 'cuda':
            torch.cuda.synchronize()
        return time.perf_counter() - begin

    ratios = []
    for turn in range(turns + 1):
        times = []
        for deterministic in (True, False):
            torch.use_deterministic_algorithms(False)
            torch.backends.cudnn.benchmark = not deterministic
            set_random_seed(0, deterministic=deterministic)
            step()
            times.append(step())
        if turn:  # the first one warms up
            ratios.append(times[0] / times[1])
    return ratios


if __name__ == '__main__':
    main()
