"""Readers for the files of image data sets, with one-line errors for missing, truncated or damaged files."""

from __future__ import annotations

import gzip
import math
import os
import pickle
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmext.errors import UserError, shorten

MOST_BYTES = 1 << 33  # largest content of an idx file


def holding(folder: Path) -> str:
    """Describes the content of a folder, for messages."""
    names = sorted(entry.name + '/' * entry.is_dir() for entry in os.scandir(folder))
    return f'it holds {shorten(names, 5)}' if names else 'it is empty'


def require_folder(path: str | Path, hint: str) -> Path:
    """Returns the path of an existing folder. Raises UserError, with the hint, if it does not exist."""
    if not Path(path).is_dir():
        raise UserError(f'{path}: no such folder; is data_root right? {hint}')
    return Path(path)


def locate(data_root: str | Path, folders: Sequence[str], files: Sequence[Sequence[str]], hint: str) -> list[Path]:
    """Finds the files of a data set.

    Args:
        data_root: The folder given by the user.
        folders: Folders below ``data_root`` that may contain the files as well; the first one with most files is used.
        files: The possible names of each file, the usual one first.
        hint: The end of a message: where to get the data set.

    Returns:
        The path of each file.

    Raises:
        UserError: A file is missing; the message lists what the folder contains.
    """
    root = require_folder(data_root, hint)
    places = [place for place in (*(root / folder for folder in folders), root) if place.is_dir()]
    found = [[next((place / name for name in names if (place / name).is_file()), None) for names in files]
             for place in places]
    counts = [sum(path is not None for path in paths) for paths in found]
    best = counts.index(max(counts))
    missing = [names[0] for names, path in zip(files, found[best]) if path is None]
    if missing:
        raise UserError(f'{places[best]}: no {shorten(missing, 5)} ({holding(places[best])}); {hint}')
    return [path for path in found[best] if path is not None]


def as_bytes(text: str, encoding: str) -> bytes:
    """Decodes bytes in old pickles, which Python 3 writes as a call of ``_codecs.encode`` with latin1."""
    if encoding != 'latin1':
        raise pickle.UnpicklingError(f'it uses the codec {encoding!r}')
    return text.encode('latin1')


# The only globals that a pickle may use; any other could run code. numpy 2 has moved numpy.core to numpy._core.
ARRAY_PARTS = {('numpy', 'ndarray'): np.ndarray, ('numpy', 'dtype'): np.dtype, ('_codecs', 'encode'): as_bytes}
for core in ('core', '_core'):
    ARRAY_PARTS[f'numpy.{core}.multiarray', '_reconstruct'] = np.zeros(1).__reduce__()[0]
    ARRAY_PARTS[f'numpy.{core}.multiarray', 'scalar'] = np.int64(0).__reduce__()[0]
    ARRAY_PARTS[f'numpy.{core}.numeric', '_frombuffer'] = np.zeros(1).__reduce_ex__(5)[0]


class ArrayUnpickler(pickle.Unpickler):
    """An unpickler that only creates numpy arrays and plain values."""

    def find_class(self, module: str, name: str) -> object:
        """Returns a global of ``ARRAY_PARTS``. Raises UnpicklingError for any other."""
        if (module, name) not in ARRAY_PARTS:
            raise pickle.UnpicklingError(f'it uses {module}.{name}, which is not loaded for safety')
        return ARRAY_PARTS[module, name]


def read_pickle(path: Path, hint: str) -> dict[str, object]:
    """Reads a pickled dict of arrays and plain values, written by Python 2 or 3. Its keys are converted to str.

    Raises:
        UserError: The file is something else, is truncated, or would run code.
    """
    try:
        with open(path, 'rb') as file:
            content = ArrayUnpickler(file, encoding='latin1').load()
        if not isinstance(content, dict):
            raise TypeError(f'it holds a {type(content).__name__}, not a dict')
    except Exception as error:  # damaged bytes can raise any exception
        raise damaged(path, error, hint) from None
    return {key.decode('latin1') if isinstance(key, bytes) else str(key): value for key, value in content.items()}


def read_idx(path: Path, dims: int, hint: str) -> np.ndarray:
    """Reads an idx file of bytes, compressed if its suffix is .gz, as a uint8 array with ``dims`` dimensions.

    Raises:
        UserError: The file is something else, or its length does not match its header.
    """
    magic, start = bytes((0, 0, 8, dims)), 4 + 4 * dims
    try:
        with (gzip.open if path.suffix == '.gz' else open)(path, 'rb') as file:
            head = file.read(start)
            if len(head) < start or head[:4] != magic:
                raise ValueError(f'an idx file of {dims} dimensions begins with {magic.hex()}, this one with '
                                 f'{head[:4].hex() or "nothing"}')
            shape = struct.unpack(f'>{dims}I', head[4:])
            size = math.prod(shape)
            content = file.read(min(size, MOST_BYTES) + 1)  # limited, as a .gz may expand endlessly
    except Exception as error:  # gzip, zlib and the operating system raise different exceptions
        raise damaged(path, error, hint) from None
    if size != len(content):
        raise damaged(path, f'its header announces {" x ".join(map(str, shape))} = {size} bytes, but '
                            f'{len(content)}{" or more" * (len(content) > size)} follow', hint)
    return np.frombuffer(content, np.uint8).reshape(shape).copy()


def read_mat(path: Path, names: Sequence[str], hint: str) -> list[np.ndarray]:
    """Reads variables of a MATLAB file, in the order of ``names``.

    Raises:
        UserError: The file is something else, is truncated, or lacks a variable.
    """
    from scipy.io import loadmat

    try:
        content = loadmat(path, appendmat=False, variable_names=names)
    except Exception as error:  # damaged bytes can raise any exception
        raise damaged(path, error, hint) from None
    absent = [name for name in names if name not in content]
    if absent:
        raise damaged(path, f'it has no variable {shorten(absent)}', hint)
    return [content[name] for name in names]


def damaged(path: Path, reason: object, hint: str) -> UserError:
    """The error for a file that exists but can't be used."""
    if isinstance(reason, Exception):
        reason = f'{type(reason).__name__}: {reason}'
    return UserError(f'{path}: truncated, damaged or another kind of file ({" ".join(str(reason).split())[:300]}); '
                     f'{hint}')
