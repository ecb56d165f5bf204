"""Tiny trainings of the three tasks, a few seconds each, as processes that can be killed."""

from __future__ import annotations

import contextlib
import multiprocessing
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.classification.helpers import write_cifar10, write_folders
from tests.conftest import ROOT
from tests.warm import run_warm, start_warm

TASKS = ('classification', 'detection', 'video')
EPOCHS = 4
LIMIT = 180  # seconds that a tiny training or test never needs
COMMON = """
train_cfg = dict(val_interval=1)
optim_wrapper = dict(optimizer=dict(lr=0.005))
default_hooks = dict(logger=dict(interval=1))
"""
CONFIGS = {
    'classification': f"""
_base_ = '{ROOT}/configs/classification/rir_cifar10.py'
model = dict(backbone=dict(type='mmext.RiR', blocks=(1, 1, 1)))
train_dataloader = dict(batch_size=16)
""",
    'detection': f"""
_base_ = ['mmdet::_base_/models/retinanet_r50_fpn.py', '{ROOT}/configs/_base_/detection/datasets/coco_detection.py',
          'mmdet::_base_/schedules/schedule_1x.py', '{ROOT}/configs/_base_/detection/runtime.py']
model = dict(
    backbone=dict(_delete_=True, type='mmext.IResNet', depth=18),
    neck=dict(in_channels=[64, 128, 256, 512], out_channels=16),
    bbox_head=dict(in_channels=16, feat_channels=16, stacked_convs=1))
train_pipeline = [
    dict(type='mmext.LoadImage', on_error='skip'), dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(64, 64), keep_ratio=True), dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs')]
test_pipeline = [
    dict(type='mmext.LoadImage', on_error='raise'), dict(type='Resize', scale=(64, 64), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'))]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
""",
    'video': f"""
_base_ = '{ROOT}/configs/demo/iresnet3d18_motion.py'
train_dataloader = dict(batch_size=2)
val_dataloader = dict(batch_size=6)
""",
    'folders': f"""
_base_ = '{ROOT}/configs/classification/iresnet_imagenet.py'
model = dict(backbone=dict(type='mmext.IResNet', depth=18))
train_pipeline = [
    dict(type='mmext.LoadImage', on_error='skip'), dict(type='mmext.RandomResizedCrop', size=32),
    dict(type='mmext.PackClassInputs')]
train_dataloader = dict(batch_size=4, dataset=dict(pipeline=train_pipeline))
""",
}


@dataclass
class Started:
    """A training that runs, and where its output goes."""

    process: multiprocessing.process.BaseProcess
    streams: Sequence[Path]

    def end(self, seconds: float) -> int | None:
        """Its exit code, or None where it still runs after so many seconds."""
        self.process.join(seconds)
        return self.process.exitcode

    def printed(self) -> str:
        return ''.join(stream.read_text(errors='replace') for stream in self.streams if stream.exists())

    def wait(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Waits, or until something is so; False where the training has ended before."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not until():
            if self.process.exitcode is not None:
                return False
            time.sleep(0.001)
        return self.process.exitcode is None


class Place:
    """Where a soak keeps its data, configs and runs; data sets are made once.

    Args:
        folder: made if it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.folder.mkdir(parents=True, exist_ok=True)

    def data(self, task: str) -> Path:
        """A task's tiny data set: a few training and validation samples."""
        folder = self.folder / 'data' / task
        if folder.exists():
            return folder
        folder.parent.mkdir(exist_ok=True)
        made = folder.with_name(f'{task}.made')
        MAKE[task](made)
        return made.rename(folder)

    def config(self, task: str, name: str | None = None, more: str = '') -> Path:
        """A task's config file; ``more`` is added to it, under another name."""
        path = self.folder / f'{name or task}.py'
        path.write_text(CONFIGS[task] + COMMON + more)
        return path

    def arguments(self, task: str, work_dir: Path, *flags: object, config: Path | None = None, workers: int = 0,
                  options: Mapping[str, object] | None = None) -> list[str]:
        """Of ``tools/train.py``."""
        given = {'train_cfg.max_epochs': EPOCHS, 'train_dataloader.num_workers': workers,
                 'val_dataloader.num_workers': 0, 'train_dataloader.persistent_workers': False,
                 'val_dataloader.persistent_workers': False, **(options or {})}
        classes = ('--classes', 'auto') if task != 'classification' else ('--backbone', 'rir_cnn32')
        return list(map(str, (config or self.config(task), '--data-root', self.data(task), '--work-dir', work_dir,
                              '--seed', 0, *classes, *flags, '--cfg-options',
                              *(f'{key}={value}' for key, value in given.items()))))

    def start(self, task: str, work_dir: Path, *flags: object, env: dict | None = None,
              **more: object) -> Started:
        work_dir.mkdir(parents=True, exist_ok=True)
        streams = [work_dir.with_name(f'{work_dir.name}.{name}') for name in ('out', 'err')]
        for stream in streams:
            stream.unlink(missing_ok=True)
        return Started(start_warm(ROOT / 'tools' / 'train.py', *self.arguments(task, work_dir, *flags, **more),
                                  streams=streams, env=env), streams)


def run_tool(script: str, *arguments: object, **more: object) -> None:
    done = run_warm(ROOT / 'tools' / script, *map(str, arguments), **more)
    if done.returncode:
        raise RuntimeError(f'{script}: {done.stderr[-2000:]}')


def make_folders(folder: Path) -> None:
    for split, count in (('train', 8), ('val', 2)):
        write_folders(folder / split, dict.fromkeys(('ash', 'birch', 'cedar'), count))


MAKE: dict[str, Callable[[Path], object]] = {
    'classification': lambda folder: write_cifar10(folder, 16),
    'detection': lambda folder: run_tool('make_shapes.py', folder, '--train', 8, '--val', 3),
    'video': lambda folder: run_tool('make_motion.py', folder, '--train', 1, '--val', 1, '--size', 40),
    'folders': make_folders,
}


@contextlib.contextmanager
def ended(started: Started):
    """Has a training end with the block, whatever happens."""
    try:
        yield started
    finally:
        if started.process.exitcode is None:
            started.process.kill()
            started.process.join()
