"""Every mistake that a user makes with the two commands ends in one clear line and exit code 2."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from mmext.checkpoints import read_checkpoint
from tests.conftest import CONFIG, OPTIONS, SMALL, Tool, error_line


@pytest.fixture
def data(shapes: Path, tmp_path: Path) -> Path:
    """A copy of the data set that a test may damage."""
    return Path(shutil.copytree(shapes, tmp_path / 'data'))


@pytest.fixture
def train(tool: Tool, tmp_path: Path):
    return lambda data, *flags, options=(): tool(
        'train.py', CONFIG, *SMALL, '--data-root', data, '--work-dir', tmp_path / 'run', *flags, '--cfg-options',
        *OPTIONS, *options)


@pytest.fixture(scope='module')
def checkpoint(tool: Tool, shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One epoch of training."""
    work_dir = tmp_path_factory.mktemp('run')
    done = tool('train.py', CONFIG, *SMALL, '--data-root', shapes, '--work-dir', work_dir, '--cfg-options', *OPTIONS)
    assert done.returncode == 0, done.stderr[-3000:]
    return work_dir / 'epoch_1.pth'


@pytest.fixture
def evaluate(tool: Tool, tmp_path: Path):
    return lambda data, checkpoint, *flags: tool(
        'test.py', CONFIG, checkpoint, *SMALL[:4], '--data-root', data, '--work-dir', tmp_path / 'run', *flags,
        '--cfg-options', *OPTIONS)


def annotations(data: Path, split: str = 'train2017') -> Path:
    return data / 'annotations' / f'instances_{split}.json'


def edit(path: Path, change) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_missing_config(tool: Tool):
    line = error_line(tool('train.py', 'configs/ssd300_iresnet5_coco.py'))
    assert 'no such config' in line and 'configs/ssd300_iresnet50_coco.py' in line


def test_unknown_backbone(tool: Tool):
    line = error_line(tool('train.py', CONFIG, '--backbone', 'iresnet51'))
    assert "'iresnet51'" in line and 'iresnet50' in line


def test_mistyped_option(tool: Tool):
    line = error_line(tool('train.py', CONFIG, '--cfg-options', 'train_dataloader.batchsize=4'))
    assert 'train_dataloader.batchsize' in line and "'train_dataloader.batch_size'" in line


def test_missing_annotation_file(train, data: Path):
    annotations(data, 'val2017').unlink()
    line = error_line(train(data))
    assert 'instances_val2017.json' in line and '--data-root' in line


def test_malformed_annotation_file(train, data: Path):
    path = annotations(data)
    path.write_text(path.read_text()[:-100])
    assert 'instances_train2017.json: not JSON, or cut short' in error_line(train(data))


def test_categories_that_are_not_the_configs(tool: Tool, data: Path, tmp_path: Path):
    line = error_line(tool('train.py', CONFIG, '--data-root', data, '--work-dir', tmp_path / 'run'))
    assert '3 categories (circle, square, triangle)' in line and '--classes auto' in line


def test_a_head_for_other_classes(train, data: Path):
    line = error_line(train(data, options=['model.bbox_head.num_classes=2']))
    assert '--classes gives 3 classes, but model.bbox_head.num_classes is 2' in line


def test_images_of_another_size_than_annotated(train, data: Path):
    edit(annotations(data), lambda content: [image.update(width=image['height'] * 2) for image in content['images']])
    line = error_line(train(data, options=['train_dataloader.num_workers=2']))
    assert '600 x 300 in the annotations, 300 x 300 in the file' in line and 'max_mismatched' in line


@pytest.mark.skipif(os.geteuid() == 0, reason='root may write anywhere')
def test_work_dir_without_permission(tool: Tool, data: Path, tmp_path: Path):
    tmp_path.chmod(0o500)
    assert "can't write there" in error_line(tool('train.py', CONFIG, '--work-dir', tmp_path / 'run'))


def test_work_dir_that_is_a_file(tool: Tool, tmp_path: Path):
    (tmp_path / 'file').touch()
    line = error_line(tool('train.py', CONFIG, '--work-dir', tmp_path / 'file' / 'run'))
    assert "can't write there" in line and '--work-dir' in line


def test_training_goes_on_without_unreadable_images(train, tool: Tool, data: Path, tmp_path: Path):
    images = sorted((data / 'train2017').iterdir())
    for image in images[:2]:
        image.unlink()  # four are left, two batches: each is drawn
    images[2].write_bytes(images[2].read_bytes()[:2000])
    images[3].write_text('not an image')
    held_out = sorted((data / 'val2017').iterdir())[0]
    held_out.write_text('not an image either')
    done = train(data, options=['train_dataloader.num_workers=1'])
    assert done.returncode == 0, done.stderr[-3000:]
    noted = dict(line.split('\t') for line in (tmp_path / 'run' / 'unreadable_files.txt').read_text().splitlines())
    assert sorted(noted) == [str(image) for image in (*images[:4], held_out)]
    assert '5 unreadable file(s)' in done.stderr + done.stdout
    assert images[3].name in done.stderr + done.stdout
    # The config that training leaves behind still lets a test fail.
    left = tmp_path / 'run' / 'ssd300_iresnet50_coco.py'
    tested = tool('test.py', left, tmp_path / 'run' / 'epoch_1.pth', '--work-dir', tmp_path / 'test')
    assert held_out.name in error_line(tested)


def test_nan_loss_stops_and_keeps_the_checkpoint(train, data: Path, tmp_path: Path):
    line = error_line(train(data, options=['train_cfg.max_epochs=2', 'param_scheduler.1.milestones=[1]',
                                           'param_scheduler.1.gamma=1e15']))
    assert 'iteration ' in line and 'loss' in line and '.jpg' in line
    weights = read_checkpoint(tmp_path / 'run' / 'epoch_1.pth')['state_dict']
    assert all(torch.isfinite(weight).all() for weight in weights.values())
    assert not (tmp_path / 'run' / 'epoch_2.pth').exists()


@pytest.mark.parametrize('damage', ['missing', 'truncated', 'foreign', 'another network'])
def test_unusable_checkpoint(evaluate, tool: Tool, shapes: Path, checkpoint: Path, tmp_path: Path, damage: str):
    path = tmp_path / 'model.pth'
    flags = ()
    if damage == 'truncated':
        path.write_bytes(checkpoint.read_bytes()[:100_000])
    elif damage == 'foreign':
        torch.save({'state_dict': {'layer.weight': torch.zeros(3)}}, path)
    elif damage == 'another network':
        path, flags = checkpoint, ('--backbone', 'iresnet34')
    line = error_line(evaluate(shapes, path, *flags))
    assert str(path) in line
    expected = {'missing': 'no such checkpoint', 'truncated': 'truncated', 'foreign': '1 left over (layer.weight)',
                'another network': 'missing (backbone.layer'}
    assert expected[damage] in line


def test_weights_alone_are_nothing_to_resume(train, data: Path, checkpoint: Path, tmp_path: Path):
    weights = read_checkpoint(checkpoint)['state_dict']
    torch.save({'state_dict': weights}, tmp_path / 'weights.pth')
    assert 'load_from' in error_line(train(data, '--resume', tmp_path / 'weights.pth'))


def test_foreign_weights_to_start_from(train, data: Path, tmp_path: Path):
    torch.save({'layer.weight': torch.zeros(3)}, tmp_path / 'foreign.pth')
    line = error_line(train(data, options=[f'load_from={tmp_path}/foreign.pth']))
    assert 'foreign.pth: 0 of the' in line and 'model.backbone.init_cfg' in line


@pytest.mark.parametrize('damage', ['missing', 'truncated', 'not an image', 'resized'])
def test_testing_fails_at_an_unreadable_image(evaluate, data: Path, checkpoint: Path, tmp_path: Path, damage: str):
    image = sorted((data / 'val2017').iterdir())[1]
    if damage == 'missing':
        image.unlink()
    elif damage == 'resized':
        with Image.open(image) as whole:
            whole.resize((150, 150)).save(image)
    else:
        image.write_bytes(image.read_bytes()[:2000] if damage == 'truncated' else b'text')
    line = error_line(evaluate(data, checkpoint))
    assert image.name in line and '--skip-unreadable' in line
    done = evaluate(data, checkpoint, '--skip-unreadable', '--out', tmp_path / 'metrics.json')
    assert done.returncode == 0, done.stderr[-3000:]
    assert '1 unreadable file(s)' in done.stderr + done.stdout
    assert 'AP' in json.loads((tmp_path / 'metrics.json').read_text())
