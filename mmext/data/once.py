"""Large files of annotations: read once for several parts of a run, and without the pauses of the garbage collector."""

from __future__ import annotations

import functools
import gc
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

KEPT: dict[Callable, tuple[tuple, Any]] = {}  # function -> its last call, and what it returned


def read_once(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorates a function of a path: a second call in a row for the same, unchanged file returns the same object.

    Its other arguments must be hashable. What it returns must not be changed.
    """
    @functools.wraps(function)
    def read(path: str | os.PathLike, *arguments: object, **options: object) -> Any:
        try:
            state = os.stat(path)
        except OSError:
            return function(path, *arguments, **options)
        call = (os.path.realpath(path), state.st_mtime_ns, state.st_size, arguments, tuple(sorted(options.items())))
        if function not in KEPT or KEPT[function][0] != call:
            forget(function)  # before the next file needs the memory
            KEPT[function] = call, function(path, *arguments, **options)
        return KEPT[function][1]

    return read


@contextmanager
def without_collection() -> Iterator[None]:
    """A context in which many objects are made that stay. The collector of cycles would visit them again and again."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


def forget(function: Callable | None = None) -> None:
    """Frees what has been read by a function; by default, by all functions."""
    if function is None:
        KEPT.clear()
    else:
        KEPT.pop(function, None)
