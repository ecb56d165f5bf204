"""Recognizers through the commands, on small videos of which some are broken."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmext import create_classifier
from tests.conftest import ROOT, error_line
from tests.html_page import Page
from tests.tools.helpers import here, succeeded
from tests.video.clips import number_of, whole, write, write_sound

# What is made smaller in the real configs' text.
SMALLER = {'scale_range=(256, 320)': 'scale_range=(40, 50)', 'RandomCrop\', size=224': 'RandomCrop\', size=32',
           "scale=(-1, 256)": "scale=(-1, 40)", 'scale=(224, 224)': 'scale=(32, 32)', 'input_size=224': 'input_size=32',
           'crop_size=224': 'crop_size=32', 'crop_size=256': 'crop_size=40', 'clip_len=16': 'clip_len=4',
           'num_classes=400': 'num_classes=3', 'num_classes=174': 'num_classes=3', 'num_workers=8': 'num_workers=0',
           'topk=(1, 5)': 'topk=(1, 2)', 'batch_size=8': 'batch_size=2', 'num_clips=10': 'num_clips=2',
           'max_epochs=90, val_interval=5': 'max_epochs=1, val_interval=1'}
TRAIN = ('--seed', 0, '--cfg-options', 'model.backbone.depth=18', 'model.backbone.num_stages=2',
         'model.cls_head.in_channels=128', 'model.cls_head.num_classes=3', 'optim_wrapper.optimizer.lr=0.01',
         'default_hooks.logger.interval=1')


@pytest.fixture(scope='module')
def configs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real configs with every size made smaller."""
    folder = tmp_path_factory.mktemp('c')
    for path in (ROOT / 'configs').rglob('*.py'):
        text = path.read_text()
        for old, new in SMALLER.items():
            text = text.replace(old, new)
        target = folder / path.relative_to(ROOT / 'configs')
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return folder


def write_kinetics(root: Path) -> Path:
    """Twelve training videos of three classes, two of them broken; four held out, one of them broken."""
    for split, count in (('train', 12), ('val', 4)):
        folder = root / f'videos_{split}'
        for i in range(count):
            (folder / f'class {i % 3}').mkdir(parents=True, exist_ok=True)
            write(folder / f'class {i % 3}' / f'v {i}.mp4', frames=(30, 3)[i == 4], rotation=90 if i == 5 else None,
                  size=(65, 49) if i == 7 else (64, 48), kind='intra.mp4')
        lines = [f'class {i % 3}/v {i}.mp4 {i % 3}\n' for i in range(count)]
        (root / f'kinetics400_{split}_list_videos.txt').write_text(''.join(lines))
    (root / 'videos_train' / 'class 1' / 'v 1.mp4').unlink()
    write_sound(root / 'videos_train' / 'class 2' / 'v 2.mp4')
    damaged = root / 'videos_val' / 'class 2' / 'v 2.mp4'
    damaged.write_bytes(damaged.read_bytes()[:900])
    (root / 'classes.txt').write_text('running\njumping\nsleeping\n')
    return root


@pytest.fixture(scope='module')
def kinetics(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_kinetics(tmp_path_factory.mktemp('k'))


@pytest.fixture(scope='module')
def trained(configs: Path, kinetics: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A work dir, and what training printed."""
    work_dir = tmp_path_factory.mktemp('w')
    done = here('train.py', configs / 'iresnet3d50_kinetics400.py', '--data-root', kinetics, '--work-dir', work_dir,
                *TRAIN, 'train_dataloader.dataset.max_unreadable=0.5')
    return work_dir, succeeded(done)


def test_training_goes_on_without_unreadable_videos(trained: tuple[Path, str], kinetics: Path) -> None:
    work_dir, printed = trained
    assert ('batch: 2 samples per update, the recipe has 64; the learning rate stays 0.01, scaled linearly it would be '
            '0.0003125: give --auto-scale-lr, or use the batch size of the recipe') in printed
    assert 'goes on without 1 of the 12 videos' in printed and 'v 1.mp4' in printed
    assert 'epoch 1: 1 file(s) turned out unreadable, 1 so far: v 2.mp4: no video stream, only audio' in printed
    assert '3 unreadable file(s)' in printed
    noted = dict(line.split('\t') for line in (work_dir / 'unreadable_files.txt').read_text().splitlines())
    assert noted.pop(str(kinetics / 'videos_train' / 'class 1' / 'v 1.mp4')) == 'missing'
    assert {Path(name).parts[-3] for name in noted} == {'videos_train', 'videos_val'} and len(noted) == 2
    assert 'accuracy/mean_class' in printed and (work_dir / 'epoch_1.pth').is_file()


@pytest.mark.smoke
def test_testing_names_them_and_fails(trained: tuple[Path, str], configs: Path, kinetics: Path, tmp_path: Path) -> None:
    # With the config that training left: the classes and the network are in it.
    test = ('test.py', trained[0] / 'iresnet3d50_kinetics400.py', trained[0] / 'epoch_1.pth', '--work-dir', tmp_path)
    line = error_line(here(*test))
    assert 'v 2.mp4: unreadable video' in line and '--skip-unreadable' in line
    printed = succeeded(here(*test, '--skip-unreadable', '--per-class', '--out', tmp_path / 'metrics.json', '--report',
                             tmp_path / 'page'))
    assert '1 unreadable file(s)' in printed
    page = Page((tmp_path / 'page' / 'index.html').read_text())
    page.assert_self_contained()
    assert len([tag for tag, _ in page.tags if tag == 'img']) == 3
    assert '1 of these videos could not be read' in page.text and 'v 2.mp4: unreadable video' in page.text
    assert 'Accuracy of training batches' in page.text and 'running' in page.text
    metrics = json.loads((tmp_path / 'metrics.json').read_text())
    assert {name: row['videos'] for name, row in metrics.pop('per_class').items()} == dict(running=2, jumping=1,
                                                                                          sleeping=1)
    assert set(metrics) == {'top1', 'top2', 'error1', 'error2', 'mean_class'}
    assert metrics['error1'] == pytest.approx(1 - metrics['top1'])


def test_a_missing_held_out_video(trained: tuple[Path, str], kinetics: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(kinetics, tmp_path / 'data'))
    (data / 'videos_val' / 'class 0' / 'v 0.mp4').unlink()
    test = ('test.py', trained[0] / 'iresnet3d50_kinetics400.py', trained[0] / 'epoch_1.pth', '--work-dir',
            tmp_path / 'w', '--data-root', data)
    assert '1 of the 4 videos' in error_line(here(*test))
    printed = succeeded(here(*test, '--skip-unreadable', '--views', '1x1', '--out', tmp_path / 'm.json', '--report',
                             tmp_path / 'page'))
    assert '2 unreadable file(s)' in printed and (tmp_path / 'm.json').is_file()
    assert '2 of these videos could not be read' in (tmp_path / 'page' / 'index.html').read_text()


def test_resumed_training_is_the_uninterrupted_one(configs: Path, kinetics: Path, tmp_path: Path) -> None:
    def weights(name: str, epochs: int, *flags: object) -> dict:
        succeeded(here('train.py', configs / 'resnet3d50_kinetics400.py', '--data-root', kinetics, '--work-dir',
                       tmp_path / name, *flags, *TRAIN, 'train_dataloader.dataset.max_unreadable=0.5',
                       f'train_cfg.max_epochs={epochs}', 'train_cfg.val_interval=9'))
        return torch.load(tmp_path / name / f'epoch_{epochs}.pth', weights_only=False)['state_dict']

    whole_run = weights('a', 2)
    weights('b', 1)
    resumed = weights('b', 2, '--resume')
    assert not [key for key, value in whole_run.items() if not torch.equal(value, resumed[key])]


def test_too_many_unreadable_videos_stop_the_run(configs: Path, kinetics: Path, tmp_path: Path) -> None:
    done = here('train.py', configs / 'iresnet3d50_kinetics400.py', '--data-root', kinetics, '--work-dir', tmp_path,
                *TRAIN, 'train_dataloader.dataset.max_unreadable=0.05')
    assert 'more than max_unreadable=0.05' in error_line(done) and not list(tmp_path.glob('*.pth'))


def test_classes_of_its_own(configs: Path, kinetics: Path, tmp_path: Path) -> None:
    train = ('train.py', configs / 'iresnet3d50_kinetics400.py', '--data-root', kinetics, '--work-dir', tmp_path)
    wrong = [*TRAIN[:-3], 'model.cls_head.num_classes=7']
    assert '3 classes, but model.cls_head.num_classes is 7; give --classes auto' in error_line(here(*train, *wrong))
    assert 'classes.txt: 3 classes are named, but num_classes is 2' in error_line(
        here(*train, *TRAIN, 'train_dataloader.dataset.num_classes=2'))
    printed = succeeded(here(*train, '--classes', 'auto', '--backbone', 'cresnet15_a1', *TRAIN[:3],
                             'model.backbone.num_stages=1', 'model.cls_head.in_channels=64',
                             'train_dataloader.dataset.max_unreadable=0.5'))
    assert 'accuracy/top1' in printed


def test_something_something_as_downloaded(configs: Path, tmp_path: Path) -> None:
    """From the weights of an image classifier."""
    videos = tmp_path / 'd' / '20bn-something-something-v2'
    videos.mkdir(parents=True)
    templates = ['Pushing something', 'Holding something', 'Dropping something']
    for split, ids in (('train', range(6)), ('validation', range(6, 9))):
        for i in ids:
            write(videos / f'{i}.webm', 'vp8.webm', frames=20)
        (tmp_path / 'd' / f'{split}.json').write_text(json.dumps(
            [dict(id=str(i), template=templates[i % 3].replace('something', '[something]')) for i in ids]))
    (tmp_path / 'd' / 'labels.json').write_text(json.dumps({name: str(i) for i, name in enumerate(templates)}))
    torch.save(create_classifier('iresnet18', 5).state_dict(), tmp_path / 'images.pth')
    run = tmp_path / 'run'
    printed = succeeded(here('train.py', configs / 'iresnet3d50_sthv2.py', '--data-root', tmp_path / 'd', '--work-dir',
                             run, *TRAIN, 'model.backbone.init_cfg.type=Pretrained',
                             f'model.backbone.init_cfg.checkpoint={tmp_path}/images.pth'))
    assert 'tensors loaded into IResNet3d' in printed
    printed = succeeded(here('test.py', run / 'iresnet3d50_sthv2.py', run / 'epoch_1.pth', '--per-class', '--work-dir',
                             tmp_path / 't'))
    assert all(name in printed for name in templates)


def test_extracted_frames(configs: Path, tmp_path: Path) -> None:
    data = tmp_path / 'd'
    video = whole(write(tmp_path / 'a.mp4', frames=12))
    for split in ('train', 'val'):
        for i in range(3):
            folder = data / f'rawframes_{split}' / f'class {i}' / f'v{i}'
            folder.mkdir(parents=True)
            for number, image in enumerate(video, 1):
                Image.fromarray(image).save(folder / f'img_{number:05}.jpg', quality=95)
        (data / f'kinetics400_{split}_list_rawframes.txt').write_text(
            ''.join(f'class {i}/v{i} {12 if i else 90} {i}\n' for i in range(3)))
    run = tmp_path / 'run'
    done = here('train.py', configs / 'iresnet3d50_kinetics400_frames.py', '--data-root', data, '--work-dir', run,
                *TRAIN, 'train_dataloader.dataset.max_unreadable=1.0')
    printed = succeeded(done)
    assert 'v0: img_000' in printed and 'No such file' in printed, 'the list promises 90 frames, there are 12'
    assert error_line(here('test.py', run / 'iresnet3d50_kinetics400_frames.py', run / 'epoch_1.pth', '--work-dir',
                           tmp_path / 't')).startswith(f'error: {data}/rawframes_val/class 0/v0: unreadable video')


def test_frames_have_their_numbers(tmp_path: Path) -> None:
    from mmext.video import DecodeFrames
    for number, image in enumerate(whole(write(tmp_path / 'a.mp4', frames=12)), 1):
        Image.fromarray(image).save(tmp_path / f'img_{number:05}.jpg', quality=95)
    results = DecodeFrames()(dict(frame_dir=str(tmp_path), filename=str(tmp_path), filename_tmpl='img_{:05}.jpg',
                                  frame_inds=np.array([[3, 12], [3, 1]])))
    assert [number_of(image) for image in results['imgs']] == [2, 11, 2, 0]
    assert results['img_shape'] == (48, 64) and not np.shares_memory(results['imgs'][0], results['imgs'][2])
