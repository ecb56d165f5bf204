"""1x1 convolutions on one thread: torch's own kernel beside that of oneDNN, which a dilation of 2 leads to.

    benchmarks/pointwise.py

The dilation changes nothing else, because a kernel of one cell has nothing to spread. The layers are those of iresnet50
in channels-last memory. A ratio above 1 means that oneDNN's kernel takes less of the processor's time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn.functional import conv2d

from mmext.engine import cli

LAYERS = ((256, 64, 56), (64, 256, 56), (1024, 256, 14), (512, 2048, 7))  # channels in, out, pixels
CALLS = 5


def main() -> None:
    torch.set_num_threads(1)
    table = Table('channels', 'pixels', 'batch', 'inference', 'training')
    for inputs, outputs, pixels in LAYERS:
        for batch in (1, 8):
            x, w = (torch.randn(shape).contiguous(memory_format=torch.channels_last).requires_grad_()
                    for shape in ((batch, inputs, pixels, pixels), (outputs, inputs, 1, 1)))
            ratios = [seconds(partial(call, x, w, 1)) / seconds(partial(call, x, w, 2)) for call in (infer, train)]
            table.add_row(f'{inputs} to {outputs}', str(pixels), str(batch), *(f'{ratio:.2f}' for ratio in ratios))
    Console(width=100).print(table)


@torch.inference_mode()
def infer(x: Tensor, w: Tensor, dilation: int) -> None:
    conv2d(x, w, dilation=dilation)


def train(x: Tensor, w: Tensor, dilation: int) -> None:
    conv2d(x, w, dilation=dilation).sum().backward()


def seconds(call: Callable[[], object]) -> float:
    """The least processor time of some calls."""
    found = []
    for _ in range(1 + CALLS):
        began = time.process_time()
        call()
        found.append(time.process_time() - began)
    return min(found[1:])


if __name__ == '__main__':
    cli.run(main)
