"""What the checks of a checkpoint cost beside reading and writing it: benchmarks/checkpoints.py

Prints the milliseconds of each, and their share of a save or a read in the same run, for a detector's size of
checkpoint: weights and SGD's momentum.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from mmengine.runner import save_checkpoint

import mmext
from mmext.checkpoints import read_checkpoint
from mmext.checkpoints.finite import first_not_finite
from mmext.checkpoints.format import require_whole_archive


def median_ms(call: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--backbone', default='iresnet50')
    parser.add_argument('--repeats', type=int, default=5)
    args = parser.parse_args()
    weights = mmext.create_backbone(args.backbone).state_dict()
    content = dict(state_dict=weights, optimizer=dict(state={name: value.float().clone()
                                                             for name, value in weights.items()}))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'x.pth')
        save = median_ms(lambda: save_checkpoint(content, str(path)), args.repeats)
        read = median_ms(lambda: read_checkpoint(path), args.repeats)
        finite = median_ms(lambda: first_not_finite(content), args.repeats)
        digest = median_ms(lambda: require_whole_archive(path), args.repeats)
        size = path.stat().st_size / 1e6
    print(f'{args.backbone}, {size:.0f} MB: save {save:.0f} ms, read {read:.0f} ms; of these')
    print(f'all numbers finite: {finite:.0f} ms, {finite / save:.0%} of a save and {finite / read:.0%} of a read')
    print(f'checksums: {digest:.0f} ms, {digest / read:.0%} of a read (a save writes them anyhow)')


if __name__ == '__main__':
    main()
