"""The steps of make demo-video on very few clips, and tools/recognize.py."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from PIL import Image

from tests.conftest import ROOT, error_line
from tests.tools.helpers import here, succeeded

CLASSES = ['left', 'right', 'up', 'down', 'clockwise', 'anticlockwise']
VIDEO, FRAMES = (f'configs/demo/{name}.py' for name in ('iresnet3d18_motion', 'iresnet18_motion_frames'))
TINY = ('--cfg-options', 'train_cfg.max_epochs=1', 'train_dataloader.batch_size=4', 'train_dataloader.num_workers=0',
        'val_dataloader.num_workers=0', 'test_dataloader.num_workers=0', 'model.backbone.num_stages=2',
        'model.cls_head.in_channels=128')
SIZES = {VIDEO: 'model.backbone.temporal_strides=(1,2)', FRAMES: 'model.backbone.out_indices=(1,)'}


@pytest.fixture(autouse=True, scope='module')
def plain_configs() -> Iterator[None]:
    """mmengine lays out a config anew for every checkpoint, which takes seconds where paths are as long as here."""
    with mock.patch('mmengine.config.config.FormatCode', lambda text, **_: (text, True)):
        yield


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('d') / 'motion'
    printed = succeeded(here('make_motion.py', folder, '--train', 2, '--val', 3, '--size', 48))
    assert '12 training and 18 held-out clips of 6 classes' in printed
    return folder


def train(config: str, data: Path, work_dir: Path) -> Path:
    printed = succeeded(here('train.py', ROOT / config, '--data-root', data, '--work-dir', work_dir, '--seed', 0, *TINY,
                             SIZES[config]))
    assert 'accuracy/top1' in printed
    return work_dir


@pytest.fixture(scope='module')
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(VIDEO, data, tmp_path_factory.mktemp('w'))


def test_pictures_of_a_test(trained: Path, tmp_path: Path) -> None:
    pictures = tmp_path / 'pictures'
    printed = succeeded(here('test.py', trained / 'iresnet3d18_motion.py', trained / 'epoch_1.pth', '--work-dir',
                             tmp_path, '--out', tmp_path / 'metrics.json', '--per-class', '--show-dir', pictures))
    assert f'pictures: {pictures}' in printed
    metrics = json.loads((tmp_path / 'metrics.json').read_text())
    assert set(metrics) == {'top1', 'error1', 'mean_class', 'per_class'} and list(metrics['per_class']) == CLASSES
    assert sorted(path.name for path in pictures.iterdir()) == ['clips.gif', 'sheet.png']
    with Image.open(pictures / 'sheet.png') as sheet, Image.open(pictures / 'clips.gif') as clips:
        assert sheet.height > 12 * 90 and sheet.width > 8 * 90 and clips.n_frames == 8


def test_the_control_sees_single_frames(data: Path, tmp_path: Path) -> None:
    work_dir = train(FRAMES, data, tmp_path / 'w')
    succeeded(here('test.py', work_dir / 'iresnet18_motion_frames.py', work_dir / 'epoch_1.pth', '--show-dir',
                   tmp_path / 'pictures', '--work-dir', tmp_path, '--out', tmp_path / 'metrics.json'))
    assert 0 <= json.loads((tmp_path / 'metrics.json').read_text())['top1'] <= 1
    with Image.open(tmp_path / 'pictures' / 'clips.gif') as clips:
        assert clips.n_frames == 1


def test_videos_of_your_own(trained: Path, data: Path, tmp_path: Path) -> None:
    """From the checkpoint alone."""
    folder = data / 'videos_val' / 'up'
    clip = data / 'videos_val' / 'left' / '00000.mp4'
    printed = succeeded(here('recognize.py', trained / 'epoch_1.pth', folder, clip, '--views', '2x3', '--top', 2,
                             '--out', tmp_path / 'scores.json', '--show-dir', tmp_path / 'pictures'))
    found = json.loads((tmp_path / 'scores.json').read_text())
    assert found['classes'] == CLASSES and len(found['files']) == 4
    for entry in found['files']:
        names, scores = entry['classes'], entry['scores']
        assert entry['kind'] == 'video' and sorted(names) == sorted(CLASSES) and scores == sorted(scores)[::-1]
        assert sum(scores) == pytest.approx(1, abs=1e-5)
        assert f'{entry["path"]}: {names[0]} {100 * scores[0]:.1f} %, {names[1]} {100 * scores[1]:.1f} %\n' in printed
        with Image.open(tmp_path / entry['output']) as picture:
            assert picture.width > 8 * 90 and picture.height > 90
    assert len(list((tmp_path / 'pictures').iterdir())) == 4


def test_mistakes_of_recognize(trained: Path, data: Path, tmp_path: Path) -> None:
    command = ('recognize.py', trained / 'iresnet3d18_motion.py', trained / 'epoch_1.pth')
    clip = data / 'videos_val' / 'left' / '00000.mp4'
    (tmp_path / 'broken.mp4').write_bytes(clip.read_bytes()[:500])
    (tmp_path / 'empty').mkdir()
    done = here(*command, tmp_path / 'none.mp4', tmp_path / 'empty', tmp_path / 'broken.mp4', clip, '--out',
                tmp_path / 'out')
    assert done.returncode == 1 and f'{clip}: ' in done.stdout
    assert all(f'skipped: {tmp_path / name}: {reason}' in done.stderr for name, reason in {
        'none.mp4': 'no such file', 'empty': 'no videos in this folder', 'broken.mp4': 'unreadable video'}.items())
    assert '--top 0' in error_line(here(*command, clip, '--top', 0))
    assert '--views 2x2' in error_line(here(*command, clip, '--views', '2x2'))
    told = error_line(here(*command, clip, '--score', 1))
    assert '--score: it is for detectors, and this model is a recognizer' in told
    assert 'none.pth: no such checkpoint' in error_line(here(*command[:2], tmp_path / 'none.pth', clip))


def test_the_recipe_names_what_there_is() -> None:
    def recipe(*variables: str) -> str:
        return subprocess.run(['make', '-n', '-o', 'setup', 'demo-video', *variables], cwd=ROOT, capture_output=True,
                              text=True, check=True).stdout

    plain, own = recipe('MMEXT_DATA='), recipe('CLIPS=my_clips')
    named = set(re.findall(r'(?:tools|configs)/[\w/]+\.py', own))
    assert {'tools/predict.py', VIDEO, FRAMES} <= named and all((ROOT / name).is_file() for name in named)
    assert 'my_clips --views 10x3' in own and 'tools/predict.py' not in plain
