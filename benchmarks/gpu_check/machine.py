"""Hardware, driver and versions."""

from __future__ import annotations

import os
import shutil
import subprocess

import torch

import mmext
from benchmarks.gpu_check.case import ROOT
from mmext.benchmark import machine
from mmext.benchmark.setup import Setup
from mmext.compat import installed
from mmext.operators import built_for_cuda

QUERY = 'name,driver_version,memory.total,clocks.max.sm,power.limit'


def describe(device: str) -> dict[str, object]:
    """What a report must say of the machine; names in the order of the report."""
    found = machine.describe(Setup(device=device))
    cuda = device == 'cuda'
    return dict(
        device=found['device'],
        gpus=torch.cuda.device_count() if cuda else 0,
        nvidia_smi=said('nvidia-smi', f'--query-gpu={QUERY}', '--format=csv,noheader') if cuda else None,
        capability='{}.{}'.format(*torch.cuda.get_device_capability()) if cuda else None,
        cores=len(os.sched_getaffinity(0)),
        processor=machine.processor(),
        torch=found['torch'], cuda=found['cuda'], cudnn=found['cudnn'],
        torchvision=machine.version('torchvision'), triton=machine.version('triton'),
        mmcv_operators='CUDA' if installed('mmcv') and built_for_cuda() else 'processor',
        **{name: found[name] for name in ('python', *machine.LIBRARIES)},
        mmext=mmext.__version__,
        commit=said('git', '-C', str(ROOT), 'describe', '--always', '--dirty'))


def said(*command: str) -> str | None:
    """What a command prints, in one line; None where it is not there or fails."""
    if shutil.which(command[0]) is None:
        return None
    done = subprocess.run(command, capture_output=True, text=True)
    return '; '.join(done.stdout.strip().splitlines()) if done.returncode == 0 else None
