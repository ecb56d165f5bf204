"""The scores of a test: of each sample, its label and the score of every class, in memory and as a file."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmext.errors import UserError, shorten
from mmext.files import write_whole
from mmext.text import require_names

ARRAYS = ('scores', 'labels', 'names', 'classes')


@dataclass(frozen=True)
class SavedScores:
    """What a classifier or recognizer says of the samples of a test set, in the order of the set.

    Attributes:
        scores: float32 (N, C), in general probabilities.
        labels: int64 (N,), the true classes, from 0 to C - 1.
        names: of the samples, such as the paths of images; '' where they have none.
        classes: the names of the C classes.
    """

    scores: np.ndarray
    labels: np.ndarray
    names: list[str]
    classes: list[str]


def write_scores(path: str | Path, scores: SavedScores) -> None:
    """Writes scores as an ``.npz`` file of the arrays ``scores``, ``labels``, ``names`` and ``classes``, atomically."""
    def write(temporary: Path) -> None:
        with open(temporary, 'wb') as file:  # np.savez would add a suffix to a path
            np.savez(file, scores=scores.scores, labels=scores.labels, names=np.array(scores.names, str),
                     classes=np.array(scores.classes, str))

    write_whole(path, write)


def read_scores(path: str | Path) -> SavedScores:
    """Reads and checks a file of ``write_scores``. No code in it is run.

    Raises:
        UserError: the file is missing, is something else, or its arrays do not fit each other.
    """
    if not Path(path).is_file():
        raise UserError(f'{path}: no such file of scores')
    try:
        with np.load(path, allow_pickle=False) as content:
            absent = [name for name in ARRAYS if name not in content]
            if absent:
                raise UserError(f'{path}: has no {shorten(absent)}; need a file of --save-scores')
            scores, labels, names, classes = (content[name] for name in ARRAYS)
    except (OSError, ValueError, AttributeError, EOFError, MemoryError, zipfile.BadZipFile) as error:
        raise UserError(f'{path}: cut short, or no file of scores, an .npz of --save-scores '
                        f'({" ".join(str(error).split())[:200]})') from None
    wrong = fault(scores, labels, names, classes)
    if wrong:
        raise UserError(f'{path}: {wrong}; need a file of --save-scores')
    require_names(classes.tolist(), path)
    return SavedScores(scores.astype(np.float32, copy=False), labels.astype(np.int64), names.tolist(), classes.tolist())


def fault(scores: np.ndarray, labels: np.ndarray, names: np.ndarray, classes: np.ndarray) -> str | None:
    """What is wrong with the arrays of a file of scores; None if they are valid."""
    kinds = dict(scores=(scores, 'f', 2), labels=(labels, 'iu', 1), names=(names, 'U', 1), classes=(classes, 'U', 1))
    for name, (array, letters, dims) in kinds.items():
        if array.dtype.kind not in letters or array.ndim != dims:
            return f'its {name} are {array.dtype} of shape {array.shape}'
    if not len(scores) == len(labels) == len(names) or not len(scores):
        return f'it has {len(scores)} scores, {len(labels)} labels and {len(names)} names'
    if scores.shape[1] != len(classes):
        return f'it has scores of {scores.shape[1]} classes and names of {len(classes)}'
    if not 0 <= labels.min() <= labels.max() < len(classes):
        return f'it has labels from {labels.min()} to {labels.max()} for {len(classes)} classes'
    return None
