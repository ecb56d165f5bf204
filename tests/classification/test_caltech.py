"""Caltech-101: each image in one split alone, decoded as Pillow does, in 32 x 32 pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmext.classification.caltech import Caltech101
from mmext.registry import DATASETS
from tests.classification.helpers import pixels, refused, write_folders

COUNTS = {'ant': 25, 'Faces': 12, 'BACKGROUND_Google': 11}


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three folders of images, each of a colour of its own; 'ant' after 'Faces', capitals being first."""
    folder = tmp_path_factory.mktemp('caltech')
    write_folders(folder / '101_ObjectCategories', COUNTS, '.png')
    return folder


def colours(data: Caltech101) -> list[tuple[int, ...]]:
    """The one colour of each image, and its label."""
    assert torch.equal(data.images, data.images[:, :, :1, :1].expand_as(data.images))
    return [(*image[:, 0, 0].tolist(), int(label)) for image, label in zip(data.images, data.labels)]


def in_folder(root: Path, name: str, label: int, numbers: range) -> list[tuple[int, ...]]:
    folder = root / '101_ObjectCategories' / name
    return [(*Image.open(folder / f'image_{i:04}.png').getpixel((0, 0)), label) for i in numbers]


def test_name_is_registered():
    assert DATASETS.module_dict['Caltech101'] is Caltech101


def test_ten_of_each_class_are_the_test_set(root: Path):
    for folder in (root, root / '101_ObjectCategories'):
        train, test = Caltech101(folder), Caltech101(folder, 'test')
        assert train.metainfo['classes'] == ('Faces', 'ant')
        assert colours(test) == in_folder(root, 'Faces', 0, range(1, 11)) + in_folder(root, 'ant', 1, range(1, 11))
        assert colours(train) == in_folder(root, 'Faces', 0, range(11, 13)) + in_folder(root, 'ant', 1, range(11, 26))


def test_the_archives_own_folder(tmp_path: Path):
    write_folders(tmp_path / 'caltech-101' / '101_ObjectCategories', {'ant': 11})
    assert len(Caltech101(tmp_path)) == 1


def test_the_background_is_a_class_if_asked_for(root: Path):
    data = Caltech101(root, 'test', background=True)
    assert data.metainfo['classes'] == ('BACKGROUND_Google', 'Faces', 'ant') and len(data) == 30


@pytest.mark.parametrize(('way', 'train', 'test'), [
    (dict(test_per_class=3), [9, 22], [3, 3]), (dict(train_per_class=5), [5, 5], [7, 20]),
    (dict(train_share=0.8), [10, 20], [2, 5])])
@pytest.mark.parametrize('seed', [None, 0, 1])
def test_ways_to_split(root: Path, way: dict, train: list[int], test: list[int], seed: int | None):
    splits = [Caltech101(root, split, split_seed=seed, **way) for split in ('train', 'test')]
    assert [data.labels.bincount().tolist() for data in splits] == [train, test]
    found = [colours(data) for data in splits]
    whole = in_folder(root, 'Faces', 0, range(1, 13)) + in_folder(root, 'ant', 1, range(1, 26))
    assert sorted(found[0] + found[1]) == sorted(whole), 'each image is in one of them'
    assert found == [colours(Caltech101(root, split, split_seed=seed, **way)) for split in ('train', 'test')]
    if seed is not None:
        assert found[1] != colours(Caltech101(root, 'test', split_seed=seed + 1, **way))
        assert found[1] != colours(Caltech101(root, 'test', **way))


def test_lists_of_images(root: Path):
    (root / 'list.txt').write_text('ant/image_0005.png 1\nFaces/image_0002.png 0\n')
    data = Caltech101(root, ann_file='list.txt')
    assert colours(data) == in_folder(root, 'ant', 1, range(5, 6)) + in_folder(root, 'Faces', 0, range(2, 3))


@pytest.mark.parametrize(('content', 'words'), [
    ('ant/image_0005.png 1\nant/image_0026.png 1\n', "line 2: there is no image 'ant/image_0026.png'; a line"),
    ('ant/image_0005.png 0\n', "line 1: label '0'; ant/image_0005.png is of class 1"),
    ('ant/image_0005.png\n', "line 1: there is no image 'ant/image_0005.png'"),
    ('', 'there are no images'),
    (None, 'no such list of images'),
])
def test_wrong_lists(root: Path, tmp_path: Path, content: str | None, words: str):
    path = tmp_path / 'list.txt'
    if content is not None:
        path.write_text(content)
    assert words in refused(lambda: Caltech101(root, ann_file=str(path)))


@pytest.mark.parametrize('mode', ['RGB', 'L', 'CMYK', 'P'])
def test_images_are_resized_as_pillow_does(tmp_path: Path, mode: str):
    write_folders(tmp_path, {'ant': 2})
    for name, shape in (('image_0001.jpg', (61, 45)), ('image_0002.jpg', (20, 40))):
        picture = Image.fromarray(pixels(*shape, 3)).convert(mode)
        picture.save(tmp_path / 'ant' / name, 'PNG' if mode == 'P' else 'JPEG')
    data = Caltech101(tmp_path, test_per_class=1, size=24)
    picture = Image.open(tmp_path / 'ant' / 'image_0002.jpg').convert('RGB')
    assert np.array_equal(data.images[0].permute(1, 2, 0), picture.resize((24, 24), Image.Resampling.BILINEAR))


def test_only_the_images_of_a_limit_are_decoded(root: Path, monkeypatch: pytest.MonkeyPatch):
    opened = []
    real = Image.open
    monkeypatch.setattr(Image, 'open', lambda path, **options: opened.append(path) or real(path, **options))
    assert len(Caltech101(root, limit=4)) == 4 == len(opened)
    assert len(Caltech101(root, 'test')) == 20 == len(opened) - 4
    opened.clear()
    assert len(Caltech101(root, 'held_out', held_out=3)) == 3 == len(opened)


def test_unreadable_images_are_named(tmp_path: Path):
    write_folders(tmp_path, {'ant': 12})
    picture = tmp_path / 'ant' / 'image_0011.jpg'
    picture.write_bytes(picture.read_bytes()[:400])
    (tmp_path / 'ant' / 'image_0012.jpg').write_text('no image')
    line = refused(lambda: Caltech101(tmp_path))
    assert '2 unreadable images' in line and 'ant/image_0011.jpg' in line and 'ant/image_0012.jpg' in line
    assert len(Caltech101(tmp_path, 'test')) == 10, 'they are not of this split'


@pytest.mark.parametrize(('arguments', 'words'), [
    (dict(train_share=0.8, test_per_class=3), 'test_per_class and train_share each define the split'),
    (dict(test_per_class=12), 'Faces: its 12 images leave nothing to train or to test with'),
    (dict(train_per_class=12), 'change train_per_class'), (dict(train_share=1.0), 'change train_share'),
    (dict(test_per_class=0), 'change test_per_class'), (dict(limit=18), 'limit=18'), (dict(split='val'), "split='val'"),
])
def test_mistakes(root: Path, arguments: dict, words: str):
    assert words in refused(lambda: Caltech101(root, **arguments))


def test_missing_data_is_told_with_its_page(tmp_path: Path):
    (tmp_path / 'caltech-101.zip').touch()
    line = refused(lambda: Caltech101(tmp_path))
    assert 'no class folders (it holds caltech-101.zip)' in line and 'https://data.caltech.edu/records/mzrjq' in line
    assert 'no such folder' in refused(lambda: Caltech101(tmp_path / 'nowhere'))
