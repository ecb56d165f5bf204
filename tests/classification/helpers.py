"""Tiny data sets in the official formats on disk, of random pixels that a test knows."""

from __future__ import annotations

import gzip
import pickle
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from mmext.errors import UserError


def pixels(*shape: int, generator: np.random.Generator | None = None) -> np.ndarray:
    """Random ones; without a generator the same for a shape, whatever was drawn before."""
    return (generator or np.random.default_rng(0)).integers(0, 256, shape, np.uint8)


class Python2Pickler(pickle._Pickler):
    """Writes as Python 2 did, and so CIFAR: text and bytes alike as str, numpy's functions under their old name."""

    dispatch = dict(pickle._Pickler.dispatch)

    def __init__(self, file) -> None:
        super().__init__(file, protocol=2)

    def save_str(self, text: str | bytes) -> None:
        content = text.encode('latin1') if isinstance(text, str) else text
        self.write(pickle.BINSTRING + struct.pack('<i', len(content)) + content)
        self.memoize(text)

    dispatch[str] = dispatch[bytes] = save_str

    def save_global(self, thing, name=None) -> None:
        module = thing.__module__.replace('numpy._core', 'numpy.core')
        self.write(pickle.GLOBAL + f'{module}\n{name or thing.__qualname__}\n'.encode())
        self.memoize(thing)

    dispatch[type] = save_global

    def save_reduce(self, func, args, *rest, **more) -> None:
        if func.__module__ == '_codecs':  # bytes of an array's state, which Python 2 has as a str
            self.save_str(args[0].encode('latin1'))
        else:
            super().save_reduce(func, args, *rest, **more)


def python2(path: Path, content: object) -> None:
    with open(path, 'wb') as file:
        Python2Pickler(file).dump(content)


def python3(path: Path, content: object, protocol: int | None = None) -> None:
    path.write_bytes(pickle.dumps(content, protocol))


def write_cifar10(root: Path, per_file: int = 4, write: Callable = python2) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Writes cifar-10-batches-py; returns split -> images (N, 3, 32, 32), labels (N,)."""
    folder = root / 'cifar-10-batches-py'
    folder.mkdir(parents=True)
    data, generator = {}, np.random.default_rng(0)
    for split, names in (('train', [f'data_batch_{i}' for i in range(1, 6)]), ('test', ['test_batch'])):
        count = per_file * len(names)
        images, labels = pixels(count, 3072, generator=generator), generator.integers(0, 10, count)
        for i, name in enumerate(names):
            part = slice(i * per_file, (i + 1) * per_file)
            write(folder / name, {'batch_label': name, 'labels': labels[part].tolist(), 'data': images[part],
                                  'filenames': [f'{number}.png' for number in range(per_file)]})
        data[split] = images.reshape(-1, 3, 32, 32), labels
    names = ['airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'lorry']
    write(folder / 'batches.meta', {'num_cases_per_batch': per_file, 'label_names': names, 'num_vis': 3072})
    return data


def write_cifar100(root: Path, count: int = 6) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Writes cifar-100-python; returns split -> images (N, 3, 32, 32), fine labels (N,)."""
    folder = root / 'cifar-100-python'
    folder.mkdir(parents=True)
    data, generator = {}, np.random.default_rng(0)
    for split in ('train', 'test'):
        images, labels = pixels(count, 3072, generator=generator), generator.integers(0, 100, count)
        python2(folder / split, {'data': images, 'fine_labels': labels.tolist(), 'coarse_labels': [0] * count})
        data[split] = images.reshape(-1, 3, 32, 32), labels
    python2(folder / 'meta', {'fine_label_names': [f'fine {i}' for i in range(100)], 'coarse_label_names': ['c'] * 20})
    return data


def write_idx(path: Path, array: np.ndarray) -> None:
    content = bytes((0, 0, 8, array.ndim)) + struct.pack(f'>{array.ndim}I', *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == '.gz' else content)


def write_mnist(root: Path, packed: str = '.gz', count: int = 5) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Writes MNIST's or FashionMNIST's four files; returns split -> images (N, 28, 28), labels (N,)."""
    root.mkdir(parents=True, exist_ok=True)
    data, generator = {}, np.random.default_rng(0)
    for split, prefix in (('train', 'train'), ('test', 't10k')):
        images, labels = pixels(count, 28, 28, generator=generator), generator.integers(0, 10, count).astype(np.uint8)
        write_idx(root / f'{prefix}-images-idx3-ubyte{packed}', images)
        write_idx(root / f'{prefix}-labels-idx1-ubyte{packed}', labels)
        data[split] = images, labels
    return data


def write_svhn(root: Path, count: int = 5) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Writes SVHN's two files; returns split -> X (32, 32, 3, N) and y (N, 1) from 1 to 10, as they are in the file."""
    root.mkdir(parents=True, exist_ok=True)
    data, generator = {}, np.random.default_rng(0)
    for split in ('train', 'test'):
        images = pixels(32, 32, 3, count, generator=generator)
        data[split] = images, generator.permutation(10)[:count, None].astype(np.uint8) + 1
        scipy.io.savemat(root / f'{split}_32x32.mat', dict(X=data[split][0], y=data[split][1]), do_compression=True)
    return data


def write_folders(root: Path, counts: Mapping[str, int], extension: str = '.jpg', size: tuple[int, int] = (40, 50),
                  mode: str = 'RGB') -> None:
    """Writes class folders: so many images each, image_0001 and on, of one colour, which is another for each."""
    generator = np.random.default_rng(0)
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for i in range(1, count + 1):
            colour = pixels(3, generator=generator).tolist()
            image = Image.new(mode, size[::-1], tuple(colour) if mode == 'RGB' else colour[0])
            image.save(root / name / f'image_{i:04}{extension}')


def refused(build: Callable[[], object]) -> str:
    """The one line of the UserError that this raises."""
    with pytest.raises(UserError) as caught:
        build()
    assert '\n' not in str(caught.value)
    return str(caught.value)
