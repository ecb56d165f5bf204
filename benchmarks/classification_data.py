"""Images a second of the CIFAR training pipeline: alone, and through a loader with worker processes.

    benchmarks/classification_data.py                          # 50,000 images, batch 128, 0, 1 and 2 workers
    benchmarks/classification_data.py --batch 32 --workers 0 4

The data are random pixels in CIFAR-10's own files in a temporary folder; the pipeline is pad to 40, crop to 32 and
flip. A line is the best and the least of the repeats, an epoch each; starting the workers is counted.
"""

from __future__ import annotations

import argparse
import pickle
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import MMLogger
from torch.utils.data import DataLoader

from mmext.classification.arrays import collate_images
from mmext.classification.batch_transforms import BatchRandomCrop, BatchRandomFlip
from mmext.classification.datasets import CIFAR10
from mmext.engine import cli


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--images', type=int, default=50_000)
    parser.add_argument('--batch', type=int, default=128)
    parser.add_argument('--workers', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument('--repeats', type=int, default=5)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    MMLogger.get_instance('benchmark', log_level='WARNING')
    with tempfile.TemporaryDirectory() as folder:
        write_cifar10(Path(folder), args.images)
        started = time.perf_counter()
        data = CIFAR10(folder, pipeline=[BatchRandomCrop(), BatchRandomFlip()])
    print(f'torch {torch.__version__}, {torch.get_num_threads()} threads, {len(data):,} images, batch {args.batch}, '
          f'{args.repeats} repeats; read in {time.perf_counter() - started:.2f} s')
    print(f'{"":24}{"images/s, best":>16}{"least":>12}')
    tell('choosing and pipeline', lambda: pipeline_alone(data, args.batch), args)
    for workers in args.workers:
        loader = DataLoader(data, args.batch, shuffle=True, num_workers=workers, collate_fn=collate_images)
        tell(f'loader, {workers} workers', lambda loader=loader: sum(len(batch['labels']) for batch in loader), args)


def write_cifar10(root: Path, images: int) -> None:
    """The five training files of random pixels."""
    generator = np.random.default_rng(0)
    folder = root / 'cifar-10-batches-py'
    folder.mkdir()
    for i, part in enumerate(np.array_split(np.arange(images), 5), 1):
        batch = {b'data': generator.integers(0, 256, (len(part), 3072), np.uint8), b'labels': [0] * len(part)}
        (folder / f'data_batch_{i}').write_bytes(pickle.dumps(batch, protocol=2))


def pipeline_alone(data: CIFAR10, batch: int) -> int:
    """An epoch without a loader; how many images it had."""
    return sum(len(data.__getitems__(indices)['labels']) for indices in torch.randperm(len(data)).split(batch))


def tell(name: str, epoch: Callable[[], int], args: argparse.Namespace) -> None:
    """Times the epochs and prints a line."""
    speeds = []
    for _ in range(args.repeats):
        started = time.perf_counter()
        images = epoch()
        speeds.append(images / (time.perf_counter() - started))
    print(f'{name:24}{max(speeds):16,.0f}{min(speeds):12,.0f}', flush=True)


if __name__ == '__main__':
    cli.run(main)
