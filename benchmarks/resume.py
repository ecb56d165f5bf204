"""How long a resumed training waits for its first batch, late and early in its data: benchmarks/resume.py

Prints the milliseconds from the start of the loader to the first batch, going on at iteration 100 and at 100,000, and
their ratio, for orders of an epoch and without an end, with and without workers; and beside it what reading one batch
costs, which a loop that reads all batches before once more pays for each of them.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from itertools import islice

import numpy as np
import torch
from mmengine.dataset import DefaultSampler, InfiniteSampler
from torch.utils.data import BatchSampler, DataLoader, Dataset

import mmext  # noqa: F401  repairs the stack before anything else is imported
from mmext.engine.resume.batches import Batches
from mmext.engine.resume.order import Order


class Images(Dataset):
    """Samples that cost what decoding a small JPEG does.

    Args:
        count: how many there are.
    """

    def __init__(self, count: int) -> None:
        import cv2

        self.count = count
        self.decode = cv2.imdecode
        noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
        self.encoded = cv2.imencode('.jpg', noise)[1]

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(self.decode(self.encoded, 1))

    def get_data_info(self, index: int) -> dict:
        return dict(width=320, height=240 + index % 2 * 240)


def by_shape(sampler: InfiniteSampler, batch: int, drop_last: bool) -> BatchSampler:
    from mmdet.datasets.samplers import AspectRatioBatchSampler
    return AspectRatioBatchSampler(sampler, batch, drop_last)


ORDERS: dict[str, tuple[Callable, Callable]] = {
    'an epoch': (DefaultSampler, BatchSampler),
    'without an end': (InfiniteSampler, BatchSampler),
    'without an end, by shape': (InfiniteSampler, by_shape),
}


def wait_ms(make: Callable[[], DataLoader], place: int, state: dict | None, repeats: int) -> float:
    """Median time to the first batch."""
    times = []
    for _ in range(repeats):
        batches = Batches(make(), 0, 0)
        start = time.perf_counter()
        reading = batches.iterate(0, place, state)
        next(reading)
        times.append(1000 * (time.perf_counter() - start))
        reading.close()
    return statistics.median(times)


def state_after(loader: DataLoader, place: int) -> dict | None:
    """What a checkpoint there holds of the order; no sample is read for it."""
    order = Order(loader, 0)
    next(islice(iter(order), place - 1, None))
    return order.state()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--samples', type=int, default=500_000)
    parser.add_argument('--batch', type=int, default=4)
    parser.add_argument('--late', type=int, default=100_000, help='iteration')
    parser.add_argument('--repeats', type=int, default=3)
    args = parser.parse_args()
    data = Images(args.samples)
    start = time.perf_counter()
    for index in range(args.batch * 20):
        data[index]
    print(f'reading a batch: {50 * (time.perf_counter() - start):.1f} ms')
    for name, (sampler, batches) in ORDERS.items():
        for workers in (0, 2):
            def make(workers: int = workers, sampler: Callable = sampler, batches: Callable = batches) -> DataLoader:
                return DataLoader(data, batch_sampler=batches(sampler(data, seed=0), args.batch, False),
                                  num_workers=workers, collate_fn=torch.stack)

            states = [state_after(make(), place) for place in (100, args.late)]
            early, late = (wait_ms(make, place, state, args.repeats)
                           for place, state in zip((100, args.late), states))
            print(f'{name}, {workers} workers: {early:.0f} ms at iteration 100, {late:.0f} ms at {args.late}, '
                  f'{late / early:.2f} times')


if __name__ == '__main__':
    main()
