"""The classification data sets of the papers that come as a few files: CIFAR, MNIST, FashionMNIST, SVHN."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mmext.classification.arrays import ArrayDataset
from mmext.classification.readers import damaged, locate, read_idx, read_mat, read_pickle
from mmext.errors import shorten
from mmext.registry import DATASETS
from mmext.text import require_names


class CIFAR(ArrayDataset):
    """What the two CIFARs have in common: pickled batches of rows of 3072 bytes, red, green, blue.

    Args:
        data_root: holds ``folder``, or is it.
        kwargs: as for ``ArrayDataset``.
    """

    folder = archive = meta_file = names_key = labels_key = ''
    files: dict[str, tuple[str, ...]] = {}
    names: tuple[str, ...] = ()

    @property
    def hint(self) -> str:
        return f'get {self.archive} from https://www.cs.toronto.edu/~kriz/cifar.html and unpack it'

    def load(self) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
        paths = locate(self.data_root, [self.folder], [(name, ) for name in self.files[self.split]], self.hint)
        classes = self.read_names(paths[0].with_name(self.meta_file))
        rows, labels = zip(*(self.read_batch(path, len(classes)) for path in paths))
        return np.concatenate(rows).reshape(-1, 3, 32, 32), np.concatenate(labels), classes

    def read_batch(self, path: Path, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
        """One file: rows (N, 3072) of uint8 and labels (N,)."""
        batch = read_pickle(path, self.hint)
        absent = [key for key in ('data', self.labels_key) if key not in batch]
        if absent:
            raise damaged(path, f'it has {shorten(batch, 6)}, but no {shorten(absent)}', self.hint)
        try:
            rows, labels = np.asarray(batch['data']), np.asarray(batch[self.labels_key])
        except (ValueError, TypeError, OverflowError) as error:  # lists of lists of different lengths
            raise damaged(path, error, self.hint) from None
        if rows.dtype != np.uint8 or rows.ndim != 2 or rows.shape[1] != 3072:
            raise damaged(path, f'its images are {rows.dtype} of shape {rows.shape}, not uint8 rows of 3072', self.hint)
        if labels.shape != rows.shape[:1] or labels.dtype.kind not in 'iu':
            raise damaged(path, f'{len(rows)} images, but labels of shape {labels.shape}', self.hint)
        if len(labels) and not 0 <= labels.min() <= labels.max() < num_classes:
            raise damaged(path, f'labels from {labels.min()} to {labels.max()} for {num_classes} classes', self.hint)
        return rows, labels

    def read_names(self, path: Path) -> tuple[str, ...]:
        """The classes' names from the meta file; ``names`` where there is none."""
        if not path.is_file():
            return self.names
        names = read_pickle(path, self.hint).get(self.names_key)
        if not isinstance(names, list) or len(names) != len(self.names):
            raise damaged(path, f'it has no {self.names_key} of {len(self.names)} classes', self.hint)
        names = tuple(name.decode(errors='backslashreplace') if isinstance(name, bytes) else name for name in names)
        require_names(names, path)
        return names


@DATASETS.register_module()
class CIFAR10(CIFAR):
    """CIFAR-10 (Krizhevsky 2009), its Python version: 32 x 32 pixels, 10 classes, 50,000 and 10,000 images.

    Args:
        data_root: holds ``cifar-10-batches-py``, or is it.
        kwargs: as for ``ArrayDataset``.
    """

    folder, archive = 'cifar-10-batches-py', 'cifar-10-python.tar.gz'
    meta_file, names_key, labels_key = 'batches.meta', 'label_names', 'labels'
    files = dict(train=tuple(f'data_batch_{i}' for i in range(1, 6)), test=('test_batch', ))
    names = ('airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck')


@DATASETS.register_module()
class CIFAR100(CIFAR):
    """CIFAR-100 (Krizhevsky 2009), its Python version, the 100 fine classes: 32 x 32 pixels, 50,000 and 10,000 images.

    Args:
        data_root: holds ``cifar-100-python``, or is it. Without its file ``meta`` the classes are called 0 to 99.
        kwargs: as for ``ArrayDataset``.
    """

    folder, archive = 'cifar-100-python', 'cifar-100-python.tar.gz'
    meta_file, names_key, labels_key = 'meta', 'fine_label_names', 'fine_labels'
    files = dict(train=('train', ), test=('test', ))
    names = tuple(map(str, range(100)))


@DATASETS.register_module()
class MNIST(ArrayDataset):
    """MNIST (LeCun et al. 1998): grey digits of 28 x 28 pixels, copied to three channels; 60,000 and 10,000 images.

    Args:
        data_root: holds the four idx files, unpacked or not, here or in ``<class name>/raw``.
        kwargs: as for ``ArrayDataset``.
    """

    page = 'https://storage.googleapis.com/cvdf-datasets/mnist/'
    names = tuple('0123456789')

    @property
    def hint(self) -> str:
        return f'get the four files named *-ubyte.gz from {self.page}'

    def load(self) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
        prefix = dict(train='train', test='t10k')[self.split]
        files = [[f'{prefix}-{kind}{dot}idx{dims}-ubyte{packed}' for packed in ('', '.gz') for dot in '-.']
                 for kind, dims in (('images', 3), ('labels', 1))]
        images, labels = locate(self.data_root, [f'{type(self).__name__}/raw'], files, self.hint)
        return read_idx(images, 3, self.hint)[:, None], read_idx(labels, 1, self.hint), self.names


@DATASETS.register_module()
class FashionMNIST(MNIST):
    """Fashion-MNIST (Xiao et al., arXiv 1708.07747): clothes in MNIST's form and under its file names."""

    page = 'https://github.com/zalandoresearch/fashion-mnist'
    names = ('T-shirt/top', 'Trouser', 'Pullover', 'Dress', 'Coat', 'Sandal', 'Shirt', 'Sneaker', 'Bag', 'Ankle boot')


@DATASETS.register_module()
class SVHN(ArrayDataset):
    """SVHN's cropped digits (Netzer et al. 2011): 32 x 32 pixels, 73,257 and 26,032 images.

    The file's label 10 stands for the digit 0, which has the label 0 here.

    Args:
        data_root: holds ``train_32x32.mat`` and ``test_32x32.mat``.
        kwargs: as for ``ArrayDataset``.
    """

    @property
    def hint(self) -> str:
        return f'get {self.split}_32x32.mat from http://ufldl.stanford.edu/housenumbers/'

    def load(self) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
        path, = locate(self.data_root, [], [(f'{self.split}_32x32.mat', )], self.hint)
        images, labels = read_mat(path, ('X', 'y'), self.hint)
        if images.ndim != 4 or images.dtype != np.uint8 or labels.size != images.shape[-1]:
            raise damaged(path, f'X is {images.dtype} of shape {images.shape}, y of shape {labels.shape}', self.hint)
        if labels.dtype.kind not in 'iuf' or not (labels == np.round(labels)).all():  # NaN is not its own, either
            raise damaged(path, f'labels of {labels.dtype}, not whole numbers', self.hint)
        labels = labels.reshape(-1).astype(np.int64)
        if labels.size and not 1 <= labels.min() <= labels.max() <= 10:
            raise damaged(path, f'labels from {labels.min()} to {labels.max()}, not 1 to 10', self.hint)
        return images.transpose(3, 2, 0, 1), labels % 10, tuple('0123456789')
