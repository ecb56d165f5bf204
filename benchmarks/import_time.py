"""How much longer 'import mmext' takes than 'import torch', each in a process of its own, in turn."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

REPEATS = 7


def seconds(statement: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, '-c', statement], check=True)
    return time.perf_counter() - started


def main() -> None:
    pairs = [(seconds('import torch'), seconds('import torch, mmext')) for _ in range(REPEATS + 1)][1:]
    extra = [mmext - torch for torch, mmext in pairs]
    ratio = statistics.median(mmext / torch for torch, mmext in pairs)
    print(f'import mmext: {statistics.median(extra):.2f} s more than import torch '
          f'({min(extra):.2f} to {max(extra):.2f}), ratio {ratio:.2f}')


if __name__ == '__main__':
    main()
