"""What users give to the commands for a classifier: their own class folders, damaged images, and mistakes."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.classification.helpers import write_cifar10, write_folders
from tests.conftest import ROOT, Tool, error_line
from tests.tools.helpers import here, succeeded

CONFIGS = ROOT / 'configs' / 'classification'
CLASSES = [f'n{i:02}' for i in range(5)]
# A small net on small windows, no worker processes.
NET = ('--backbone', 'rir_cnn32')
OPTIONS = ('model.backbone.blocks=[1,1,1]', 'train_cfg.max_epochs=1', 'train_dataloader.batch_size=4',
           'train_dataloader.dataset.pipeline.1.size=64',
           *(f'{split}_dataloader.{option}' for split in ('val', 'test')
             for option in ('dataset.pipeline.1.scale=(1000,72)', 'dataset.pipeline.2.crop_size=64')),
           *(f'{split}_dataloader.num_workers=0' for split in ('train', 'val', 'test')))


@pytest.fixture(scope='module')
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five classes of three training images and one held out."""
    root = tmp_path_factory.mktemp('f')
    write_folders(root / 'train', dict.fromkeys(CLASSES, 3), '.JPEG')
    write_folders(root / 'val', dict.fromkeys(CLASSES, 1), '.JPEG')
    return root


@pytest.fixture(scope='module')
def cifar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('c')
    write_cifar10(root)
    return root


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder. Its path is short: yapf, with which mmengine writes configs, takes seconds for long ones."""
    return tmp_path_factory.mktemp('p')


def test_class_folders_with_damaged_images(tool: Tool, folders: Path, place: Path):
    data = Path(shutil.copytree(folders, place / 'data'))
    damaged, held_out = data / 'train' / 'n02' / 'image_0002.JPEG', data / 'val' / 'n03' / 'image_0001.JPEG'
    for image in (damaged, held_out):
        image.write_bytes(image.read_bytes()[:300])
    work_dir = place / 'run'
    printed = succeeded(tool('train.py', CONFIGS / 'iresnet_imagenet.py', *NET, '--data-root', data, '--work-dir',
                             work_dir, '--classes', 'auto', '--seed', 0, '--cfg-options', *OPTIONS))
    assert 'Epoch(train) [1][4/4]' in printed and '2 unreadable file(s)' in printed and damaged.name in printed
    noted = [line.partition('\t')[0] for line in (work_dir / 'unreadable_files.txt').read_text().splitlines()]
    assert noted == [str(damaged), str(held_out)]

    # With the config that training left: the classes and the network are in it.
    test = ('test.py', work_dir / 'iresnet_imagenet.py', work_dir / 'epoch_1.pth', '--work-dir', place / 'test')
    line = error_line(here(*test))
    assert line.startswith(f'error: {held_out}: unreadable image') and '--skip-unreadable' in line
    printed = succeeded(here(*test, '--skip-unreadable', '--per-class', '--out', place / 'metrics.json'))
    assert '1 unreadable file(s)' in printed
    assert (place / 'test' / 'unreadable_test_files.txt').read_text().startswith(f'{held_out}\t')
    metrics = json.loads((place / 'metrics.json').read_text())
    assert {name: row['images'] for name, row in metrics.pop('per_class').items()} == dict.fromkeys(CLASSES, 1)
    assert metrics['top5'] == 1 and metrics['top1'] in (0, 0.2, 0.4, 0.6, 0.8, 1)


def test_a_run_is_named_by_config_backbone_and_seed(place: Path, monkeypatch: pytest.MonkeyPatch):
    """And a missing data set ends it before a network is trained."""
    monkeypatch.chdir(place)
    for flags, name in (((), 'iresnet_imagenet'), (('--seed', 3), 'iresnet_imagenet_seed3'),
                        ((*NET, '--seed', 0), 'iresnet_imagenet_rir_cnn32_seed0')):
        line = error_line(here('train.py', CONFIGS / 'iresnet_imagenet.py', *flags))
        assert 'data/imagenet/train: no such folder' in line and 'image-net.org' in line
        assert error_line(here('train.py', CONFIGS / 'iresnet_imagenet.py', *flags, '--classes', 'auto')) == line
        assert (place / 'work_dirs' / name).is_dir() and not list(place.glob('work_dirs/*/*.pth'))
        shutil.rmtree(place / 'work_dirs')


def refusal(config: str, data: Path, work_dir: Path, *flags: object) -> str:
    """The one line that training ends in; nothing was trained."""
    done = here('train.py', CONFIGS / f'{config}.py', '--data-root', data, '--work-dir', work_dir, *flags)
    assert 'Epoch(train)' not in done.stdout + done.stderr and not list(work_dir.glob('*.pth'))
    return error_line(done)


def test_another_number_of_classes(folders: Path, cifar: Path, place: Path):
    line = refusal('iresnet_imagenet', folders, place, *NET, '--cfg-options', *OPTIONS)
    assert '5 classes, but model.num_classes is 1000' in line and '--classes auto' in line
    line = refusal('rir_cifar10', cifar, place, '--cfg-options', 'model.num_classes=100')
    assert '10 classes, but model.num_classes is 100' in line and 'model.num_classes=10' in line


def test_held_out_images_of_other_classes(folders: Path, place: Path):
    data = Path(shutil.copytree(folders, place / 'data'))
    (data / 'val' / 'n04').rename(data / 'val' / 'n05')
    line = refusal('iresnet_imagenet', data, place / 'run', *NET, '--classes', 'auto', '--cfg-options', *OPTIONS)
    assert '1 missing (n04), 1 of no class (n05)' in line
    shutil.rmtree(data / 'val')
    line = refusal('iresnet_imagenet', data, place / 'run', *NET, '--classes', 'auto', '--cfg-options', *OPTIONS)
    assert f'{data}/val: no such folder' in line


def test_half_downloaded_cifar(cifar: Path, place: Path):
    data = Path(shutil.copytree(cifar, place / 'data'))
    batches = data / 'cifar-10-batches-py'
    whole = (batches / 'test_batch').read_bytes()
    (batches / 'test_batch').write_bytes(whole[:1000])
    line = refusal('rir_cifar10', data, place / 'run')  # found before the training, though it is for the validation
    assert f'{batches}/test_batch: truncated' in line and 'cifar-10-python.tar.gz' in line
    (batches / 'data_batch_3').unlink()
    line = refusal('rir_cifar10', data, place / 'run')
    assert f'{batches}: no data_batch_3' in line and 'it holds' in line
    shutil.rmtree(batches)
    assert f'{data}: no data_batch_1' in refusal('rir_cifar10', data, place / 'run')


@pytest.mark.parametrize(('config', 'flags', 'says'), [
    ('rir_cifar10', ['--backbone', 'rir_cnn23'], r"no backbone 'rir_cnn23'; did you mean 'rir_cnn32'"),
    ('rir_cifar10', ['--seed', '-1'], '--seed -1: need a number from 0 to 4294967295'),
    ('rir_cifar10', ['--classes', 'auto'], 'the classes of mmext.CIFAR10 can\'t be changed'),
    ('rir_cifar10', ['--classes', 'cat,dog'], 'the classes of mmext.CIFAR10 can\'t be changed'),
    ('rir_cifar10', ['model.backbone.filters=[15,32,64]'], r'filters=\(15, 32, 64\): .* must be even'),
    ('rir_cifar10', ['model.backbone.blocks=[5,5]'], r'blocks=\[5, 5\]: need 3 positive integers'),
    ('rir_cifar10', ['model.backbone.variant=rirr'], "RiR has no variant 'rirr'.* did you mean 'rir'"),
    ('rir_cifar10', ['model.backbone.width=3'], "no key 'width' there"),
    ('rir_cifar10', ['train_dataloader.dataset.pipeline.0.size=48'], 'size=48 is not between 1 and pad_to=40'),
    ('rir_cifar10', ['train_dataloader.dataset.pipeline.0.size=3'], 'an image of 3 x 3 is too small for RiR'),
    ('rir_cifar10', ['train_dataloader.dataset.limit=21'], 'limit=21 is not a number from 1 to 20'),
    ('rir_cifar10', ['val_evaluator.topk=[11]'], r'val_evaluator.topk=.*11.*there are only 10 classes'),
    ('cresnet_cifar10', ['model.backbone.depth=27', 'model.backbone.variant=c2'], "no variant 'c2'"),
    ('cresnet_cifar10', ['model.backbone.depth=27', 'model.backbone.variant=a2', 'model.backbone.authors_wiring=True'],
     "the authors wire 'a2' as the paper does"),
    ('recursive_cifar10', ['model.backbone.depth=19'], 'RecursiveResNet has no depth 19; there are 18, 34, 50, 101'),
    ('recursive_cifar10', ['model.backbone.formula=X[i+1]'], r"formula 'X\[i\+1\]': X\[i\+1\] does not exist"),
    ('recursive_cifar10', ['model.backbone.formula=W[i]X[i-1]+X[i-9]'], r'X\[i-9\] does not exist in a network of 8'),
    ('recursive_cifar10', ['model.backbone.formula=eq22'], "at character 1, but there is 'eq22'"),
])
def test_mistakes(cifar: Path, place: Path, config: str, flags: list[str], says: str):
    options = flags if flags[0].startswith('--') else ['--cfg-options', *flags]
    assert re.search(says, refusal(config, cifar, place, *options))


def test_a_loss_that_turns_nan(cifar: Path, place: Path):
    done = here('train.py', CONFIGS / 'rir_cifar10.py', *NET, '--data-root', cifar, '--work-dir', place,
                '--cfg-options', 'model.backbone.blocks=[1,1,1]', 'train_dataloader.batch_size=4',
                'optim_wrapper.optimizer.lr=1e30')
    assert re.search(r'iteration 1: the update has made the weights .*bad_batch.pth; stopped; ', error_line(done))
    assert [path.name for path in place.glob('*.pth')] == ['bad_batch.pth']


def test_what_a_classifier_has_no_pictures_for(place: Path):
    done = here('test.py', CONFIGS / 'rir_cifar10.py', 'epoch_1.pth', '--show-dir', place / 'pictures', '--work-dir',
                place / 'run')
    assert '--show-dir: it draws detections' in error_line(done) and not (place / 'pictures').exists()


def test_figures_have_a_place_before_the_test_starts(place: Path):
    done = here('test.py', CONFIGS / 'rir_cifar10.py', 'epoch_1.pth', '--out', place, '--work-dir', place / 'run')
    assert f"{place}: can't write there (it is a folder)" in error_line(done)
