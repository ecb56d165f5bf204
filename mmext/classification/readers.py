"""Files of image data sets -> checked arrays. What is missing, cut short or damaged is told in one line."""

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

MOST_BYTES = 1 << 33  # of an idx file


def holding(folder: Path) -> str:
    """What a folder has in it, for a message."""
    names = sorted(entry.name + '/' * entry.is_dir() for entry in os.scandir(folder))
    return f'it holds {shorten(names, 5)}' if names else 'it is empty'


def require_folder(path: str | Path, hint: str) -> Path:
    """The path of a folder that is there. UserError otherwise, ending in the hint."""
    if not Path(path).is_dir():
        raise UserError(f'{path}: no such folder; is data_root right? {hint}')
    return Path(path)


def locate(data_root: str | Path, folders: Sequence[str], files: Sequence[Sequence[str]], hint: str) -> list[Path]:
    """Finds the files of a data set.

    Args:
        data_root: the folder that the user names.
        folders: below ``data_root``, where the files may lie too; the first that has most of them is taken.
        files: the names that each file may have, the usual one first.
        hint: ends a message: where to get what.

    Raises:
        UserError: a file is not there; says what is.
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
    """What Python 3 writes bytes as in old pickles; one codec alone."""
    if encoding != 'latin1':
        raise pickle.UnpicklingError(f'it asks for the codec {encoding!r}')
    return text.encode('latin1')


# Whatever else a pickle asks for could run code. numpy 2 moved its own functions from numpy.core to numpy._core.
ARRAY_PARTS = {('numpy', 'ndarray'): np.ndarray, ('numpy', 'dtype'): np.dtype, ('_codecs', 'encode'): as_bytes}
for core in ('core', '_core'):
    ARRAY_PARTS[f'numpy.{core}.multiarray', '_reconstruct'] = np.zeros(1).__reduce__()[0]
    ARRAY_PARTS[f'numpy.{core}.multiarray', 'scalar'] = np.int64(0).__reduce__()[0]
    ARRAY_PARTS[f'numpy.{core}.numeric', '_frombuffer'] = np.zeros(1).__reduce_ex__(5)[0]


class ArrayUnpickler(pickle.Unpickler):
    """Builds numpy arrays and plain values, and nothing else."""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in ARRAY_PARTS:
            raise pickle.UnpicklingError(f'it asks for {module}.{name}, which is not loaded for safety')
        return ARRAY_PARTS[module, name]


def read_pickle(path: Path, hint: str) -> dict[str, object]:
    """A pickled dict of arrays and plain values, of Python 2 or 3; its keys as text.

    Raises:
        UserError: it is something else, cut short, or would run code.
    """
    try:
        with open(path, 'rb') as file:
            content = ArrayUnpickler(file, encoding='latin1').load()
        if not isinstance(content, dict):
            raise TypeError(f'it holds a {type(content).__name__}, not a dict')
    except Exception as error:  # damaged bytes are read as any instruction, and fail as that does
        raise damaged(path, error, hint) from None
    return {key.decode('latin1') if isinstance(key, bytes) else str(key): value for key, value in content.items()}


def read_idx(path: Path, dims: int, hint: str) -> np.ndarray:
    """An idx file of bytes with so many dimensions, packed with gzip if its name says so -> an array of uint8.

    Raises:
        UserError: it is something else, or longer or shorter than its header says.
    """
    magic, start = bytes((0, 0, 8, dims)), 4 + 4 * dims
    try:
        with (gzip.open if path.suffix == '.gz' else open)(path, 'rb') as file:
            head = file.read(start)
            if len(head) < start or head[:4] != magic:
                raise ValueError(f'an idx file of {dims} dimensions begins with {magic.hex()}, this with '
                                 f'{head[:4].hex() or "nothing"}')
            shape = struct.unpack(f'>{dims}I', head[4:])
            size = math.prod(shape)
            content = file.read(min(size, MOST_BYTES) + 1)  # of a packed file that goes on for ever no more
    except Exception as error:  # gzip, zlib and the system have each their own
        raise damaged(path, error, hint) from None
    if size != len(content):
        raise damaged(path, f'its header announces {" x ".join(map(str, shape))} = {size} bytes, '
                            f'{len(content)}{" or more" * (len(content) > size)} follow', hint)
    return np.frombuffer(content, np.uint8).reshape(shape).copy()


def read_mat(path: Path, names: Sequence[str], hint: str) -> list[np.ndarray]:
    """Variables of a MATLAB file.

    Raises:
        UserError: it is something else, cut short, or lacks one of them.
    """
    from scipy.io import loadmat

    try:
        content = loadmat(path, appendmat=False, variable_names=names)
    except Exception as error:  # damaged bytes are read as anything, and fail as that does
        raise damaged(path, error, hint) from None
    absent = [name for name in names if name not in content]
    if absent:
        raise damaged(path, f'it has no variable {shorten(absent)}', hint)
    return [content[name] for name in names]


def damaged(path: Path, reason: object, hint: str) -> UserError:
    """The message about a file that is there and can't be used."""
    if isinstance(reason, Exception):
        reason = f'{type(reason).__name__}: {reason}'
    return UserError(f'{path}: cut short, damaged or another kind of file ({" ".join(str(reason).split())[:300]}); '
                     f'{hint}')
