"""CIFAR, MNIST and SVHN are read from their official files, pixel for pixel, or refused in one line."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mmext.classification.datasets import CIFAR10, CIFAR100, MNIST, SVHN, FashionMNIST
from mmext.registry import DATASETS
from tests.classification.helpers import (
    pixels,
    python2,
    python3,
    refused,
    write_cifar10,
    write_cifar100,
    write_idx,
    write_mnist,
    write_svhn,
)


def test_names_are_registered():
    for name in ('CIFAR10', 'CIFAR100', 'MNIST', 'FashionMNIST', 'SVHN'):
        assert DATASETS.module_dict[name].__name__ == name


def test_importing_them_imports_no_other_library():
    modules = 'arrays', 'datasets', 'caltech', 'folders', 'batch_transforms', 'image_transforms', 'metric'
    code = (f'import sys, {", ".join(f"mmext.classification.{module}" for module in modules)}\n'
            'print([name for name in sys.modules if name in ("mmdet", "mmaction", "mmcv.ops")])')
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.stdout == '[]\n', done.stderr[-2000:]


@pytest.mark.parametrize('split', ['train', 'test'])
@pytest.mark.parametrize('write', [python2, python3])
def test_cifar10(tmp_path: Path, split: str, write):
    images, labels = write_cifar10(tmp_path, write=write)[split]
    for root in (tmp_path, tmp_path / 'cifar-10-batches-py'):
        data = CIFAR10(root, split)
        assert np.array_equal(data.images, images) and data.labels.tolist() == labels.tolist()
    assert data.metainfo['classes'][::9] == ('airplane', 'lorry'), 'the names are those of the file'
    (tmp_path / 'cifar-10-batches-py' / 'batches.meta').unlink()
    assert CIFAR10(tmp_path, split).metainfo['classes'][::9] == ('airplane', 'truck')


@pytest.mark.parametrize('split', ['train', 'test'])
def test_cifar100_has_the_fine_labels(tmp_path: Path, split: str):
    images, labels = write_cifar100(tmp_path)[split]
    data = CIFAR100(tmp_path, split)
    assert np.array_equal(data.images, images) and data.labels.tolist() == labels.tolist()
    assert data.metainfo['classes'] == tuple(f'fine {i}' for i in range(100))


@pytest.mark.parametrize('split', ['train', 'test'])
@pytest.mark.parametrize('packed', ['', '.gz'])
@pytest.mark.parametrize('dataset', [MNIST, FashionMNIST])
def test_mnist(tmp_path: Path, split: str, packed: str, dataset: type):
    images, labels = write_mnist(tmp_path / dataset.__name__ / 'raw', packed)[split]
    for root in (tmp_path, tmp_path / dataset.__name__ / 'raw'):
        data = dataset(root, split)
        assert np.array_equal(data.images[:, 0], images) and data.labels.tolist() == labels.tolist()
    assert len(set(data.metainfo['classes'])) == 10
    batch = data.__getitems__([1, 0])['inputs']
    assert batch.shape == (2, 3, 28, 28) and all(np.array_equal(batch[:, i], images[[1, 0]]) for i in range(3))


@pytest.mark.parametrize('split', ['train', 'test'])
def test_svhn(tmp_path: Path, split: str):
    images, labels = write_svhn(tmp_path, count=10)[split]
    data = SVHN(tmp_path, split)
    assert data.labels.tolist() == [0 if label == 10 else label for label in labels[:, 0].tolist()]
    assert sorted(data.labels.tolist()) == list(range(10))
    for i in range(10):
        assert np.array_equal(data.images[i].permute(1, 2, 0), images[..., i])


@pytest.mark.parametrize(('dataset', 'page'), [
    (CIFAR10, 'https://www.cs.toronto.edu/~kriz/cifar.html'), (CIFAR100, 'https://www.cs.toronto.edu/~kriz/cifar.html'),
    (MNIST, 'https://storage.googleapis.com/cvdf-datasets/mnist/'),
    (FashionMNIST, 'https://github.com/zalandoresearch/fashion-mnist'), (SVHN, 'http://ufldl.stanford.edu/housenumbers/')])
def test_missing_data_is_told_with_its_page(tmp_path: Path, dataset: type, page: str):
    line = refused(lambda: dataset(tmp_path / 'nowhere'))
    assert 'nowhere: no such folder' in line and page in line
    (tmp_path / 'archive.tar').touch()
    line = refused(lambda: dataset(tmp_path, test_mode=True))
    assert f'{tmp_path}: no ' in line and 'it holds archive.tar' in line and page in line


def test_a_half_unpacked_cifar(tmp_path: Path):
    write_cifar10(tmp_path)
    (tmp_path / 'cifar-10-batches-py' / 'data_batch_4').unlink()
    line = refused(lambda: CIFAR10(tmp_path))
    assert 'cifar-10-batches-py: no data_batch_4 (it holds batches.meta, data_batch_1' in line
    assert len(CIFAR10(tmp_path, 'test')) == 4, 'the other split is whole'


@pytest.mark.parametrize(('content', 'words'), [
    (dict(data=pixels(3, 3072)), 'it has data, but no labels'),
    (dict(data=pixels(3, 3071), labels=[0] * 3), 'uint8 of shape (3, 3071)'),
    (dict(data=pixels(3, 3072).astype(float), labels=[0] * 3), 'float64 of shape (3, 3072)'),
    (dict(data=pixels(3, 3072), labels=[0] * 4), '3 images, but labels of shape (4,)'),
    (dict(data=pixels(3, 3072), labels=[0, 1, 10]), 'labels from 0 to 10 for 10 classes'),
    (dict(data=pixels(3, 3072), labels=[0, 1, -1]), 'labels from -1 to 1'),
    (dict(data=pixels(3, 3072), labels=['a'] * 3), 'but labels of shape'),
    (dict(data=pixels(3, 3072), labels=[[0], [1, 2], 3]), 'damaged'),
    (dict(data=[[1], [1, 2]], labels=[0, 1]), 'damaged'), (dict(data={}, labels=[0]), 'object of shape ()'),
    (dict(data=pixels(3, 3072), labels=[0, 1, float('nan')]), 'but labels of shape'),
])
def test_a_wrong_cifar_batch(tmp_path: Path, content: dict, words: str):
    write_cifar10(tmp_path)
    python2(tmp_path / 'cifar-10-batches-py' / 'data_batch_2', content)
    line = refused(lambda: CIFAR10(tmp_path))
    assert 'data_batch_2: ' in line and words in line


@pytest.mark.parametrize('meta', [{}, {'label_names': ['a', 'b']}, {'label_names': 'airplane'}, *(
    {'label_names': [*'abcdefghi', name]} for name in ('a\nb', '', 7, None, ['j'], {}))])
def test_a_wrong_meta_file(tmp_path: Path, meta: dict):
    write_cifar10(tmp_path)
    python2(tmp_path / 'cifar-10-batches-py' / 'batches.meta', meta)
    assert 'batches.meta: ' in refused(lambda: CIFAR10(tmp_path))


def test_cifar100_in_place_of_cifar10(tmp_path: Path):
    write_cifar100(tmp_path)
    shutil.copy(tmp_path / 'cifar-100-python' / 'test', tmp_path / 'test_batch')
    assert 'fine_labels' in refused(lambda: CIFAR10(tmp_path, 'test'))


def test_mnist_whose_labels_are_others(tmp_path: Path):
    write_mnist(tmp_path, '', count=5)
    write_idx(tmp_path / 'train-labels-idx1-ubyte', pixels(4))
    assert '5 images, but labels of shape (4,)' in refused(lambda: MNIST(tmp_path))
    write_idx(tmp_path / 'train-labels-idx1-ubyte', np.arange(6, 11, dtype=np.uint8))
    assert 'labels from 6 to 10 for 10 classes' in refused(lambda: MNIST(tmp_path))


@pytest.mark.parametrize('labels', [[0, 1, 2], [1, 2, 11]])
def test_svhn_with_other_labels(tmp_path: Path, labels: list[int]):
    import scipy.io
    scipy.io.savemat(tmp_path / 'train_32x32.mat', dict(X=pixels(32, 32, 3, 3), y=np.array(labels)[:, None]))
    assert f'labels from {min(labels)} to {max(labels)}, not 1 to 10' in refused(lambda: SVHN(tmp_path))


def test_svhn_of_another_form(tmp_path: Path):
    import scipy.io
    scipy.io.savemat(tmp_path / 'train_32x32.mat', dict(X=pixels(3, 32, 32, 3), y=np.array([[1], [2]])))
    assert 'X is uint8 of shape (3, 32, 32, 3)' in refused(lambda: SVHN(tmp_path))


def test_no_images(tmp_path: Path):
    write_mnist(tmp_path, count=0)
    assert 'there are no images' in refused(lambda: MNIST(tmp_path))
