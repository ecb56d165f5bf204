"""Options of a wrong type or out of range: what is described is built, or refused with a UserError of one line."""

from __future__ import annotations

import copy
import os
import random
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config

from mmext.engine.build import build_runner, build_testing, build_training
from mmext.engine.config import load_config
from mmext.errors import UserError
from tests.conftest import CONFIG, ROOT

VALUES = ('x', '', -1, 0, 10**9, 3.7, float('nan'), True, None, [], [1], (2, 'y'), {}, {'type': 'NoSuch'})
COUNT = int(os.environ.get('MMEXT_MUTATIONS', 10))  # of each task, two seconds each
# What mmengine takes as commands: other processes, ports, files of this machine.
LEFT_OUT = ('env_cfg', 'launcher', 'num_workers', 'custom_imports', 'work_dir', 'persistent_workers', 'priority')
SMALL = {'train_dataloader.num_workers': 0, 'val_dataloader.num_workers': 0, 'test_dataloader.num_workers': 0,
         'train_dataloader.persistent_workers': False, 'val_dataloader.persistent_workers': False,
         'test_dataloader.persistent_workers': False, 'train_dataloader.batch_size': 2}
READ = ('model', 'train_dataloader', 'val_dataloader', 'test_dataloader', 'optim_wrapper', 'param_scheduler',
        'train_cfg', 'val_cfg', 'test_cfg', 'val_evaluator', 'test_evaluator', 'default_hooks', 'custom_hooks',
        'visualizer', 'log_processor', 'randomness', 'auto_scale_lr', 'default_scope', 'log_level')


def leaves(node: object, place: str) -> Iterator[str]:
    """The places of the values of a config, and of the dicts that hold them."""
    if place.rpartition('.')[2] in LEFT_OUT:
        return
    yield place
    items = node.items() if isinstance(node, dict) else enumerate(node) if (
        isinstance(node, (list, tuple)) and node and isinstance(node[0], dict)) else ()
    for key, value in items:
        yield from leaves(value, f'{place}.{key}')


@pytest.fixture(scope='module')
def data(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Six of each: images with boxes, images in class folders, names of videos, which building does not open."""
    return dict(write_data(tmp_path_factory.mktemp('folders'), tmp_path_factory.mktemp('videos')), detection=shapes)


def write_data(folders: Path, videos: Path) -> dict[str, Path]:
    """Class folders and lists of videos."""
    for split in ('train', 'val'):
        (videos / f'videos_{split}').mkdir(parents=True)
        for label in range(6):
            image = folders / split / f'class{label}' / '1.png'
            image.parent.mkdir(parents=True)
            cv2.imwrite(str(image), np.full((32, 32, 3), label * 40, np.uint8))
            (videos / f'videos_{split}' / f'{label}.mp4').write_bytes(b'-')
        (videos / f'kinetics400_{split}_list_videos.txt').write_text(''.join(f'{i}.mp4 {i}\n' for i in range(6)))
    return dict(classification=folders, video=videos)


CONFIGS = dict(detection=(ROOT / CONFIG, 'iresnet18'), video=(ROOT / 'configs' / 'iresnet3d50_kinetics400.py',
                                                             'iresnet18'),
               classification=(ROOT / 'configs' / 'classification' / 'iresnet_imagenet.py', 'iresnet18'))


def try_out(path: Path, backbone: str, root: Path, options: dict, work_dir: Path) -> None:
    config: Config = load_config(path, data_root=str(root), classes='auto', backbone=backbone,
                                 options={**SMALL, **copy.deepcopy(options)})
    config.work_dir = str(work_dir)
    config.log_level = config.get('log_level') if 'log_level' in options else 'ERROR'
    runner = build_runner(config)
    build_training(runner)
    build_testing(runner)


@pytest.mark.parametrize('task', CONFIGS)
def test_a_mutated_option(task: str, data: dict[str, Path], tmp_path: Path):
    path, backbone = CONFIGS[task]
    config = load_config(path, backbone=backbone)
    places = [place for name in READ if name in config for place in leaves(config._cfg_dict[name], name)]
    draw = random.Random(f'{task} 0')
    wrong = []
    refused = 0
    for _ in range(COUNT):
        options = {draw.choice(places): draw.choice(VALUES)}
        try:
            try_out(path, backbone, data[task], options, tmp_path)
        except UserError as error:
            refused += 1
            if '\n' in str(error).strip():
                wrong.append((options, 'more than one line', str(error)))
        except Exception as error:
            wrong.append((options, type(error).__name__, str(error)[:300]))
    assert not wrong, '\n'.join(map(str, wrong))
    assert 0 < refused < COUNT
