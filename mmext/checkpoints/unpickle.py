"""Files of ``torch.save``, read so that nothing in them is run."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.serialization import MAP_LOCATION

from mmext.errors import UserError


class Named:
    """Stands for something that a file names and that is not looked up. Whoever calls it while the file is read fails.

    mmengine's logs name their statistics, and so those that a user has registered. No content needs them.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, *args: object, **kwargs: object) -> None:
        raise pickle.UnpicklingError(f'unsupported: GLOBAL {self.name}')


def load(path: Path, map_location: MAP_LOCATION = 'cpu') -> object:
    """What ``torch.save`` wrote, as ``weights_only``.

    Raises:
        UserError: something in it could run code.
        Exception: of many kinds, where the file is damaged.
    """
    with statistics_kept():
        try:
            return torch.load(path, map_location=map_location, weights_only=True)
        except pickle.UnpicklingError as error:
            name = refused(error)
            if not name:
                raise
        try:
            names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
            stand_ins: list[Callable | tuple[Callable, str]] = [(Named(name), name) for name in names]
            with torch.serialization.safe_globals(stand_ins):
                content = torch.load(path, map_location=map_location, weights_only=True)
            require_values(content)
            return content
        except Exception as error:
            name = refused(error) or name
    raise UserError(f'{path}: holds {name}, which could run code; weights and plain values alone are loaded')


@contextmanager
def statistics_kept() -> Iterator[None]:
    """The statistics that this process knows stay as they are: mmengine takes those of a file for all its logs."""
    from mmengine.logging import HistoryBuffer

    HistoryBuffer()  # registers mmengine's, which a process that only reads logs does not have yet
    known = dict(HistoryBuffer._statistics_methods)
    try:
        yield
    finally:
        HistoryBuffer._statistics_methods.clear()
        HistoryBuffer._statistics_methods.update(known)


def refused(error: Exception) -> str | None:
    """What torch did not allow, from its message."""
    found = re.search(r'(?i)unsupported.*?GLOBAL ([\w.]+)', str(error), re.DOTALL)
    return found[1] if found else None


def require_values(node: object) -> None:
    """Raises an UnpicklingError where a stand-in is left anywhere in a content."""
    if isinstance(node, Named):
        node()
    if isinstance(node, dict):
        for key, value in node.items():
            require_values(key)
            require_values(value)
    elif isinstance(node, (list, tuple, set, frozenset)):
        for value in node:
            require_values(value)
    elif hasattr(node, '__dict__') and not isinstance(node, (torch.Tensor, type)):
        require_values(vars(node))
