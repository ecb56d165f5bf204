"""The check of a config's data finds what training would, before it, and reads every file if asked to."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.classification.helpers import write_folders
from tests.conftest import ROOT, error_line
from tests.tools.helpers import here, succeeded
from tests.video.clips import write

CONFIGS = {'detection': ROOT / 'configs' / 'ssd300_iresnet50_coco.py',
           'classification': ROOT / 'configs' / 'classification' / 'iresnet_imagenet.py',
           'video': ROOT / 'configs' / 'iresnet3d50_kinetics400.py'}
OPTIONS = ('train_dataloader.batch_size=1', 'train_dataloader.num_workers=0', 'val_dataloader.num_workers=0',
           'test_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False',
           'val_dataloader.persistent_workers=False', 'test_dataloader.persistent_workers=False')


def make_videos(folder: Path) -> None:
    for split, count in (('train', 11), ('val', 1)):
        videos = folder / f'videos_{split}'
        videos.mkdir(parents=True)
        first = write(videos / '0.mp4', frames=8)
        for number in range(1, count):
            shutil.copy(first, videos / f'{number}.mp4')
        (folder / f'kinetics400_{split}_list_videos.txt').write_text(''.join(f'{i}.mp4 {i % 2}\n'
                                                                           for i in range(count)))


@pytest.fixture
def data(shapes: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A small data set of the task that the test names."""
    folder = tmp_path / 'data'
    if request.param == 'detection':
        return Path(shutil.copytree(shapes, folder))
    if request.param == 'video':
        make_videos(folder)
        return folder
    for split in ('train', 'val'):
        write_folders(folder / split, dict.fromkeys(('ash', 'birch'), 2))
    return folder


def checked(task: str, data: Path, *flags: object):
    return here('check_data.py', CONFIGS[task], '--data-root', data, '--classes', 'auto', '--backbone', 'iresnet18',
                *flags, '--cfg-options', *OPTIONS)


BAD = {'detection': 'train2017/*', 'classification': 'train/*/*', 'video': 'videos_train/*'}


@pytest.mark.parametrize(('task', 'data'), [(task, task) for task in CONFIGS], indirect=['data'])
def test_every_file_is_read(task: str, data: Path, tmp_path: Path):
    out = tmp_path / 'report.json', tmp_path / 'report.txt'
    succeeded(checked(task, data, '--all', '--workers', 0, '--out', *out))
    sets = json.loads(out[0].read_text())['data_sets']
    assert all(found['files'] == found['samples'] and not found['troubles'] for found in sets)
    path = sorted(data.glob(BAD[task]))[1]
    path.write_bytes(path.read_bytes()[:path.stat().st_size // 2])
    done = checked(task, data, '--all', '--workers', 1, '--out', *out)
    assert done.returncode == 1 and 'Traceback' not in done.stderr, done.stderr
    trouble, = (trouble for found in json.loads(out[0].read_text())['data_sets'] for trouble in found['troubles'])
    assert trouble['path'] == str(path) and trouble['kind'] == 'unreadable' and trouble['reason']
    assert f'{path}\tunreadable\t{trouble["reason"]}\n' in out[1].read_text()
    succeeded(checked(task, data))  # it is not opened without --all, as before a training


@pytest.mark.parametrize(('task', 'data'), [('detection', 'detection'), ('video', 'video')], indirect=['data'])
def test_missing_files(task: str, data: Path):
    sorted(data.glob(BAD[task]))[0].unlink()
    done = checked(task, data)
    assert done.returncode == 1 and 'missing' in done.stdout
    next(data.glob(BAD[task].replace('train', 'val'))).unlink()
    assert 'missing' in error_line(checked(task, data)), 'a validation needs every file'


@pytest.mark.parametrize('data', ['detection'], indirect=True)
def test_images_of_another_size_and_malformed_annotations(data: Path):
    path = data / 'annotations' / 'instances_train2017.json'
    content = json.loads(path.read_text())
    content['images'][0]['width'] = 77
    path.write_text(json.dumps(content))
    done = checked('detection', data, '--all', '--workers', 0)
    assert done.returncode == 1 and '77 x 300 in the annotations, 300 x 300 in the file' in ' '.join(
        done.stdout.replace('│', ' ').split())
    for image in content['images']:
        image['width'] = 77
    path.write_text(json.dumps(content))
    assert 'max_mismatched' in error_line(checked('detection', data))
    content['annotations'][0]['bbox'] = 'x'
    path.write_text(json.dumps(content))
    assert 'annotations[0]: bbox' in error_line(checked('detection', data))


def test_what_is_no_report(tmp_path: Path):
    assert '.json or .txt' in error_line(here('check_data.py', CONFIGS['detection'], '--out', tmp_path / 'x.csv'))
    assert 'need 0 or more' in error_line(here('check_data.py', CONFIGS['detection'], '--workers', -1))
