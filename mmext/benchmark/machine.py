"""The machine of a measurement: versions, device, threads, and the most arithmetic that it reaches."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.benchmark import Timer

from mmext.benchmark.setup import DTYPES, Setup, out_of_memory
from mmext.compat import installed
from mmext.operators import built_for_cuda

LIBRARIES = ('mmengine', 'mmcv', 'mmdet', 'mmaction2')
# Sizes of matrices; images, channels and pixels of convolutions.
MATRICES = {'cpu': (512, 1024, 2048), 'cuda': (4096, 8192, 16384)}
CONVOLUTIONS = {'cpu': ((8, 128, 28), (8, 256, 14)), 'cuda': ((64, 256, 56), (64, 512, 28))}


def describe(setup: Setup) -> dict:
    """Versions and device, for the printed header and the JSON file."""
    cuda = setup.device == 'cuda'
    return dict(
        torch=str(torch.__version__),
        cuda=torch.version.cuda if cuda else None,
        cudnn=torch.backends.cudnn.version() if cuda else None,
        device=torch.cuda.get_device_name() if cuda else processor(),
        threads=torch.get_num_threads(),
        cores=os.cpu_count(),
        load=round(os.getloadavg()[0], 2) if hasattr(os, 'getloadavg') else None,
        python=platform.python_version(),
        system=platform.system(),
        **{name: version(name) for name in LIBRARIES})


def version(distribution: str) -> str | None:
    """The installed version of a distribution or of its OneDL fork; None if neither is installed."""
    for name in (distribution, f'onedl-{distribution}'):
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def processor() -> str:
    """The name of the processor, as far as the system gives it."""
    info = Path('/proc/cpuinfo')
    found = re.search(r'model name\s*: (.+)', info.read_text()) if info.is_file() else None
    return found[1] if found else platform.processor() or platform.machine()


def warnings(machine: dict, setup: Setup) -> list[str]:
    """What may make measurements on this machine misleading, one sentence for each cause.

    Args:
        machine: of ``describe``.
        setup: of the same run.
    """
    found = []
    if slow_conv3d(machine['torch'], machine['cudnn']):
        found.append('torch 2.9 with cuDNN below 9.15: Conv3d under fp16 and bf16 takes about four times as long and '
                     "more memory (pytorch issues 166122, 166643); pip install 'nvidia-cudnn-cu12>=9.15'")
    if setup.device == 'cpu' and setup.dtype == 'bf16' and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        found.append('this processor has no bf16 arithmetic: bf16 is emulated, which is slow')
    if machine['load'] is not None and setup.device == 'cpu' and machine['load'] > machine['cores'] / 2:
        found.append(f'the machine is busy with other work (load {machine["load"]} on {machine["cores"]} cores): rely '
                     'on the ratios, not on the seconds')
    if setup.device == 'cuda' and installed('mmcv') and not built_for_cuda():
        found.append('mmcv was built without CUDA operators: a detector that needs them fails')
    return found


def slow_conv3d(torch_version: str, cudnn: int | None) -> bool:
    """Whether these versions have the defect of pytorch issues 166122 and 166643; cuDNN 9.15.0 is 91500."""
    return bool(re.match(r'2\.9(\D|$)', torch_version)) and cudnn is not None and cudnn < 91500


def peak_of(setup: Setup, seconds: float = 0.3) -> float:
    """The most FLOP/s that this machine reached, in the number format and with the threads of the setup.

    It is the best of several products of two square matrices and of several 3x3 convolutions: on processors, torch
    computes the two with different libraries, of which either can be more than twice as fast.

    Args:
        setup: it has been applied.
        seconds: how long each of them is timed.
    """
    best = 0.0
    try:
        for flop, statement, tensors in work_of(setup):
            timer = Timer(statement, globals=dict(torch=torch, **tensors), num_threads=torch.get_num_threads())
            best = max(best, flop / min(timer.blocked_autorange(min_run_time=seconds).times))
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
    return best


def work_of(setup: Setup) -> Iterator[tuple[int, str, dict[str, Tensor]]]:
    """What the peak is measured with, the largest last: FLOP, a statement, and the tensors that it names."""
    def random(*shape: int) -> Tensor:
        return torch.randn(shape, device=setup.device).to(DTYPES[setup.dtype])

    for images, channels, pixels in CONVOLUTIONS[setup.device]:
        x, w = random(images, channels, pixels + 2, pixels + 2), random(channels, channels, 3, 3)
        x, w = (tensor.contiguous(memory_format=torch.channels_last) for tensor in (x, w))
        yield 2 * 9 * images * (channels * pixels)**2, 'torch.nn.functional.conv2d(x, w)', dict(x=x, w=w)
    for size in MATRICES[setup.device]:
        a = random(size, size)
        yield 2 * size**3, 'torch.mm(a, b, out=c)', dict(a=a, b=random(size, size), c=torch.empty_like(a))


def share_of_peak(macs: int, samples_per_s: float, peak: float) -> float:
    """The share of ``peak`` (FLOP/s) that is reached. A multiply-accumulate is two operations."""
    return 2 * macs * samples_per_s / peak
