"""The papers' classification data sets that consist of a few files: CIFAR, MNIST, FashionMNIST and SVHN."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mmext.classification.arrays import ArrayDataset
from mmext.classification.readers import damaged, locate, read_idx, read_mat, read_pickle
from mmext.errors import shorten
from mmext.registry import DATASETS
from mmext.text import require_names


class CIFAR(ArrayDataset):
    """Base class of CIFAR-10 and CIFAR-100: pickled batches with rows of 3072 bytes, in the order red, green, blue.

    Args:
        data_root: A folder with ``folder`` in it, or ``folder`` itself.
        kwargs: Arguments of ``ArrayDataset``.
    """

    folder = archive = meta_file = names_key = labels_key = ''
    files: dict[str, tuple[str, ...]] = {}
    names: tuple[str, ...] = ()

    @property
    def hint(self) -> str:
        """Where to download the data set, for messages."""
        return f'download {self.archive} from https://www.cs.toronto.edu/~kriz/cifar.html and unpack it'

    def load(self) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
        paths = locate(self.data_root, [self.folder], [(name, ) for name in self.files[self.files_split]], self.hint)
        classes = self.read_names(paths[0].with_name(self.meta_file))
        rows, labels = zip(*(self.read_batch(path, len(classes)) for path in paths))
        return np.concatenate(rows).reshape(-1, 3, 32, 32), np.concatenate(labels), classes

    def read_batch(self, path: Path, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
        """Reads one file: uint8 rows (N, 3072) and labels (N,). Raises UserError if it is damaged."""
        batch = read_pickle(path, self.hint)
        absent = [key for key in ('data', self.labels_key) if key not in batch]
        if absent:
            raise damaged(path, f'it has {shorten(batch, 6)}, but no {shorten(absent)}', self.hint)
        try:
            rows, labels = np.asarray(batch['data']), np.asarray(batch[self.labels_key])
        except (ValueError, TypeError, OverflowError) as error:  # nested lists of different lengths
            raise damaged(path, error, self.hint) from None
        if rows.dtype != np.uint8 or rows.ndim != 2 or rows.shape[1] != 3072:
            raise damaged(path, f'its images are {rows.dtype} of shape {rows.shape}, not uint8 rows of 3072', self.hint)
        if labels.shape != rows.shape[:1] or labels.dtype.kind not in 'iu':
            raise damaged(path, f'{len(rows)} images, but labels of shape {labels.shape}', self.hint)
        if len(labels) and not 0 <= labels.min() <= labels.max() < num_classes:
            raise damaged(path, f'labels from {labels.min()} to {labels.max()} for {num_classes} classes', self.hint)
        return rows, labels

    def read_names(self, path: Path) -> tuple[str, ...]:
        """The names of the classes from the meta file, or ``names`` if the file does not exist."""
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
    """CIFAR-10 (Krizhevsky 2009), Python version: 32 x 32 pixels, 10 classes, 50,000 training and 10,000 test images.

    Args:
        data_root: A folder with ``cifar-10-batches-py`` in it, or that folder itself.
        kwargs: Arguments of ``ArrayDataset``.
    """

    folder, archive = 'cifar-10-batches-py', 'cifar-10-python.tar.gz'
    meta_file, names_key, labels_key = 'batches.meta', 'label_names', 'labels'
    files = dict(train=tuple(f'data_batch_{i}' for i in range(1, 6)), test=('test_batch', ))
    names = ('airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck')


@DATASETS.register_module()
class CIFAR100(CIFAR):
    """CIFAR-100 (Krizhevsky 2009), Python version, with the 100 fine classes: 32 x 32 pixels, 50,000 training and
    10,000 test images.

    Args:
        data_root: A folder with ``cifar-100-python`` in it, or that folder itself. If the file ``meta`` is missing, the
            classes are called 0 to 99.
        kwargs: Arguments of ``ArrayDataset``.
    """

    folder, archive = 'cifar-100-python', 'cifar-100-python.tar.gz'
    meta_file, names_key, labels_key = 'meta', 'fine_label_names', 'fine_labels'
    files = dict(train=('train', ), test=('test', ))
    names = tuple(map(str, range(100)))


@DATASETS.register_module()
class MNIST(ArrayDataset):
    """MNIST (LeCun et al. 1998): grey digits of 28 x 28 pixels, 60,000 training and 10,000 test images.

    The grey channel is copied to three channels.

    Args:
        data_root: A folder with the four idx files, packed or not, in it or in ``<name of the class>/raw``.
        kwargs: Arguments of ``ArrayDataset``.
    """

    page = 'https://storage.googleapis.com/cvdf-datasets/mnist/'
    names = tuple('0123456789')

    @property
    def hint(self) -> str:
        """Where to download the data set, for messages."""
        return f'download the four files named *-ubyte.gz from {self.page}'

    def load(self) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
        prefix = dict(train='train', test='t10k')[self.files_split]
        files = [[f'{prefix}-{kind}{dot}idx{dims}-ubyte{packed}' for packed in ('', '.gz') for dot in '-.']
                 for kind, dims in (('images', 3), ('labels', 1))]
        images, labels = locate(self.data_root, [f'{type(self).__name__}/raw'], files, self.hint)
        return read_idx(images, 3, self.hint)[:, None], read_idx(labels, 1, self.hint), self.names


@DATASETS.register_module()
class FashionMNIST(MNIST):
    """Fashion-MNIST (Xiao et al., arXiv 1708.07747): clothes, in the format and with the file names of MNIST."""

    page = 'https://github.com/zalandoresearch/fashion-mnist'
    names = ('T-shirt/top', 'Trouser', 'Pullover', 'Dress', 'Coat', 'Sandal', 'Shirt', 'Sneaker', 'Bag', 'Ankle boot')


@DATASETS.register_module()
class SVHN(ArrayDataset):
    """The cropped digits of SVHN (Netzer et al. 2011): 32 x 32 pixels, 73,257 training and 26,032 test images.

    The digit 0 has the label 0; in the files it has the label 10.

    Args:
        data_root: A folder with ``train_32x32.mat`` and ``test_32x32.mat``.
        kwargs: Arguments of ``ArrayDataset``.
    """

    @property
    def hint(self) -> str:
        """Where to download the data set, for messages."""
        return f'download {self.files_split}_32x32.mat from http://ufldl.stanford.edu/housenumbers/'

    def load(self) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
        path, = locate(self.data_root, [], [(f'{self.files_split}_32x32.mat', )], self.hint)
        images, labels = read_mat(path, ('X', 'y'), self.hint)
        if images.ndim != 4 or images.dtype != np.uint8 or labels.size != images.shape[-1]:
            raise damaged(path, f'X is {images.dtype} of shape {images.shape}, y of shape {labels.shape}', self.hint)
        if labels.dtype.kind not in 'iuf' or not (labels == np.round(labels)).all():  # also excludes NaN
            raise damaged(path, f'labels of {labels.dtype}, not whole numbers', self.hint)
        labels = labels.reshape(-1).astype(np.int64)
        if labels.size and not 1 <= labels.min() <= labels.max() <= 10:
            raise damaged(path, f'labels from {labels.min()} to {labels.max()}, not 1 to 10', self.hint)
        return images.transpose(3, 2, 0, 1), labels % 10, tuple('0123456789')
