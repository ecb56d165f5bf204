"""Reading files of ``torch.save`` without running any code from them."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.serialization import MAP_LOCATION

from mmext.errors import UserError


class StandIn:
    """Placeholder for a global that a file refers to; calling it while the file is read raises an error.

    The logs of mmengine refer to the functions of their statistics, including those that a user has registered. They
    are not needed to read the file.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, *args: object, **kwargs: object) -> None:
        raise pickle.UnpicklingError(f'unsupported: GLOBAL {self.name}')


def load(path: Path, map_location: MAP_LOCATION = 'cpu') -> object:
    """Reads a file of ``torch.save`` with ``weights_only=True``.

    Raises:
        UserError: The file contains something that could run code.
        Exception: The file is damaged; the type of exception depends on its bytes.
    """
    with preserve_statistics():
        try:
            return torch.load(path, map_location=map_location, weights_only=True)
        except pickle.UnpicklingError as error:
            name = refused_global(error)
            if not name:
                raise
        try:
            names = torch.serialization.get_unsafe_globals_in_checkpoint(path)
            stand_ins: list[Callable | tuple[Callable, str]] = [(StandIn(name), name) for name in names]
            with torch.serialization.safe_globals(stand_ins):
                content = torch.load(path, map_location=map_location, weights_only=True)
            require_values(content)
            return content
        except Exception as error:
            name = refused_global(error) or name
    raise UserError(f'{path}: holds {name}, which could run code; only weights and plain values are loaded')


@contextmanager
def preserve_statistics() -> Iterator[None]:
    """Restores the statistics registered in mmengine's ``HistoryBuffer``: reading a file would replace them for all
    logs of the process.
    """
    from mmengine.logging import HistoryBuffer

    HistoryBuffer()  # the first instance registers mmengine's own statistics
    known = dict(HistoryBuffer._statistics_methods)
    try:
        yield
    finally:
        HistoryBuffer._statistics_methods.clear()
        HistoryBuffer._statistics_methods.update(known)


def refused_global(error: Exception) -> str | None:
    """The name of the global that torch refused to load, taken from its message; None if there is none."""
    found = re.search(r'(?i)unsupported.*?GLOBAL ([\w.]+)', str(error), re.DOTALL)
    return found[1] if found else None


def require_values(node: object) -> None:
    """Raises UnpicklingError if a ``StandIn`` remains anywhere in the content."""
    if isinstance(node, StandIn):
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
