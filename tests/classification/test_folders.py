"""ImageNet's layout: which images there are, what becomes of them, and what is wrong with other layouts."""

from __future__ import annotations

import shutil
from pathlib import Path

import mmcv
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from mmext.classification.arrays import collate_images
from mmext.classification.folders import ImageFolder
from mmext.classification.image_transforms import PackClassInputs
from mmext.data.loading import LoadImage
from mmext.errors import UserError
from tests.classification.helpers import refused, write_folders

TRAIN, VAL = {'n02': 3, 'n01': 2, 'n10': 4}, {'n01': 1, 'n02': 1, 'n10': 1}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_folders(tmp_path / 'train', TRAIN, '.JPEG')
    write_folders(tmp_path / 'val', VAL, '.jpg')
    return tmp_path


def paths(data: ImageFolder) -> list[str]:
    return [str(Path(data.get_data_info(i)['img_path']).relative_to(data.data_root)) for i in range(len(data))]


def labels(data: ImageFolder) -> list[int]:
    return [data.get_data_info(i)['gt_label'] for i in range(len(data))]


def test_classes_are_sorted_and_so_are_their_images(root: Path):
    train = ImageFolder(str(root))
    assert train.metainfo['classes'] == ('n01', 'n02', 'n10') and labels(train) == [0, 0, 1, 1, 1, 2, 2, 2, 2]
    assert paths(train)[:3] == ['train/n01/image_0001.JPEG', 'train/n01/image_0002.JPEG', 'train/n02/image_0001.JPEG']
    val = ImageFolder(str(root), test_mode=True)
    assert val.metainfo['classes'] == ('n01', 'n02', 'n10') and labels(val) == [0, 1, 2]
    assert paths(val)[0] == 'val/n01/image_0001.jpg'


def test_what_counts_as_an_image(root: Path):
    folder = root / 'train' / 'n01'
    for name in ('a.PNG', 'b.JpG', 'c.webp', 'd.bmp', '.hidden.jpg', 'notes.txt', 'jpg'):
        shutil.copy(folder / 'image_0001.JPEG', folder / name)
    (root / 'train' / '.cache').mkdir()
    (root / 'train' / 'LOC_synset_mapping.txt').touch()
    names = [Path(path).name for path in paths(ImageFolder(str(root)))[:6]]
    assert names == ['a.PNG', 'b.JpG', 'c.webp', 'd.bmp', 'image_0001.JPEG', 'image_0002.JPEG']


def test_classes_may_be_given_in_another_order(root: Path):
    classes = ('n10', 'n01', 'n02')
    data = ImageFolder(str(root), metainfo=dict(classes=classes))
    assert data.metainfo['classes'] == classes and labels(data) == [0, 0, 0, 0, 1, 1, 2, 2, 2]
    assert paths(data)[0] == 'train/n10/image_0001.JPEG'
    line = refused(lambda: ImageFolder(str(root), metainfo=dict(classes=('n01', 'n02', 'n03'))))
    assert 'not the 3 classes of metainfo: 1 missing (n03), 1 of no class (n10)' in line


def test_a_split_alone(root: Path):
    shutil.rmtree(root / 'train')
    assert ImageFolder(str(root), 'val').metainfo['classes'] == ('n01', 'n02', 'n10')


def test_batches_are_the_pixels_in_rgb(root: Path):
    data = ImageFolder(str(root), pipeline=[LoadImage(), PackClassInputs()])
    batch, = DataLoader(data, 9, num_workers=1, collate_fn=collate_images)
    assert batch['inputs'].shape == (9, 3, 40, 50) and batch['labels'].tolist() == labels(data)
    for i, path in enumerate(paths(data)):
        expected = mmcv.imread(str(root / path), channel_order='rgb')
        assert np.array_equal(batch['inputs'][i].permute(1, 2, 0), expected)


def test_unreadable_images(root: Path, tmp_path: Path):
    (root / 'train' / 'n10' / 'image_0002.JPEG').write_text('no image')
    shapes = {}
    for on_error in ('skip', 'blank'):
        step = LoadImage(on_error=on_error, log_file=str(tmp_path / f'{on_error}.txt'))
        data = ImageFolder(str(root), pipeline=[step, PackClassInputs()])
        shapes[on_error] = [tuple(sample['inputs'].shape) for sample in map(data.__getitem__, range(len(data)))]
        assert 'n10/image_0002.JPEG' in (tmp_path / f'{on_error}.txt').read_text()
    assert shapes['skip'] == [(3, 40, 50)] * 9, 'another image is drawn'
    assert shapes['blank'] == [(3, 40, 50)] * 6 + [(3, 256, 256)] + [(3, 40, 50)] * 2
    data = ImageFolder(str(root), pipeline=[LoadImage(on_error='raise'), PackClassInputs()])
    assert 'n10/image_0002.JPEG: unreadable image' in refused(lambda: data[6])


def test_limit(root: Path):
    whole, few = ImageFolder(str(root)), ImageFolder(str(root), limit=4)
    assert len(few) == 4 and paths(few) == sorted(paths(few)) and set(paths(few)) < set(paths(whole))
    assert few.metainfo == whole.metainfo and paths(few) == paths(ImageFolder(str(root), limit=4))
    assert labels(few) == [int(path.split('/')[1].replace('n01', '0').replace('n02', '1').replace('n10', '2'))
                           for path in paths(few)]
    assert 'limit=10' in refused(lambda: ImageFolder(str(root), limit=10))


def test_wrong_layouts(root: Path):
    assert 'nowhere/train: no such folder' in refused(lambda: ImageFolder(str(root / 'nowhere')))
    (root / 'val' / 'n03').mkdir()
    line = refused(lambda: ImageFolder(str(root), 'val'))
    assert 'no images in 1 of the 4 class folders (n03; it is empty)' in line
    shutil.copy(root / 'val' / 'n01' / 'image_0001.jpg', root / 'val' / 'n03')
    shutil.rmtree(root / 'val' / 'n02')
    line = refused(lambda: ImageFolder(str(root), 'val'))
    assert f'not the 3 classes of {root}/train: 1 missing (n02), 1 of no class (n03)' in line
    shutil.rmtree(root / 'val')
    (root / 'val').mkdir()
    assert 'no class folders (it is empty)' in refused(lambda: ImageFolder(str(root), 'val'))
    for i in range(5):
        (root / 'val' / f'ILSVRC2012_val_{i:08}.JPEG').touch()
    line = refused(lambda: ImageFolder(str(root), 'val'))
    assert '5 images, but no class folders; sort them into one folder per class' in line


def test_training_folders_as_they_were_downloaded(tmp_path: Path):
    (tmp_path / 'train').mkdir()
    for name in ('n01440764.tar', 'n01443537.tar'):
        (tmp_path / 'train' / name).touch()
    line = refused(lambda: ImageFolder(str(tmp_path)))
    assert 'no class folders (it holds n01440764.tar, n01443537.tar)' in line and 'https://image-net.org' in line


def test_images_one_folder_too_deep(tmp_path: Path):
    write_folders(tmp_path / 'train' / 'n01', {'images': 2})
    assert 'class folders (n01; it holds images/)' in refused(lambda: ImageFolder(str(tmp_path)))


def test_samples_come_from_the_registry(root: Path):
    from mmext.registry import DATASETS
    assert DATASETS.module_dict['ImageFolder'] is ImageFolder
    data = ImageFolder(str(root), pipeline=[LoadImage(), PackClassInputs()])
    assert set(data[0]) == {'inputs', 'labels', 'names'} and data[0]['inputs'].dtype == torch.uint8


def test_files_of_other_suffixes_are_told(tmp_path: Path, capsys: pytest.CaptureFixture):
    write_folders(tmp_path / 'train', {'ant': 2, 'bee': 2})
    for name in ('a.gif', 'Thumbs.db', '.hidden', 'b.PPM'):
        (tmp_path / 'train' / 'bee' / name).touch()
    assert ImageFolder(str(tmp_path)).members == [2, 3]
    assert ImageFolder.classes_from(dict(data_root=str(tmp_path))) == ('ant', 'bee')
    told = capsys.readouterr().err
    assert told.strip() == f"{tmp_path}/train: left out 1 files whose suffix is not that of images (bee/a.gif)"


def test_some_of_the_folders_in_the_order_of_their_names(tmp_path: Path):
    write_folders(tmp_path / 'train', {'ant': 2, 'bee': 3, 'cat': 4})
    with pytest.raises(UserError, match='are not the 2 classes of metainfo: 1 of no class'):
        ImageFolder(str(tmp_path), metainfo=dict(classes=('cat', 'ant')))
    data = ImageFolder(str(tmp_path), metainfo=dict(classes=('cat', 'ant')), subset=True)
    assert data.metainfo['classes'] == ('cat', 'ant') and data.members == [4, 2]
    assert {Path(info['img_path']).parent.name: info['gt_label'] for info in map(data.get_data_info, range(6))} == dict(
        cat=0, ant=1)
    with pytest.raises(UserError) as caught:
        ImageFolder(str(tmp_path), metainfo=dict(classes=('cat', 'bees')), subset=True)
    assert str(caught.value) == (f"{tmp_path}/train: none of its 3 class folders (ant, bee, cat) is called 'bees'; did "
                                 "you mean 'bee'?")
