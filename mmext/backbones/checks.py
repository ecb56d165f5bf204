"""Validation of the arguments of networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any, TypeVar

from mmext.errors import UserError, nearest

Row = TypeVar('Row')
LARGEST = 10_000  # upper limit for strides, kernel sizes and numbers of blocks


def is_whole(value: object) -> bool:
    """Whether a value is an integer. True and False do not count as integers."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def check_flag(**flags: object) -> None:
    """Raises UserError if one of these arguments is neither True nor False."""
    for name, value in flags.items():
        if not isinstance(value, int) or value not in (True, False):
            raise UserError(f'{name}={value!r}: need True or False')


def check_out_indices(out_indices: Sequence[int], stages: int) -> tuple[int, ...]:
    """Returns the indices with negative ones resolved. Raises UserError if one of them is not a stage."""
    if not isinstance(out_indices, Sequence) or not out_indices:
        raise UserError(f'out_indices={out_indices!r}: need one or more stages, such as (1, 2, 3)')
    for index in out_indices:
        if not is_whole(index) or not -stages <= index < stages:
            raise UserError(f'out_indices: {index!r} is not between 0 and {stages - 1}, or {-stages} and -1 to count '
                            'from the end')
    return tuple(index % stages for index in out_indices)


def check_odd(name: str, kernels: Sequence[int]) -> Sequence[int]:
    """Returns the kernel sizes unchanged. Raises UserError if one of them is not a positive odd integer."""
    for kernel in kernels:
        if not is_whole(kernel) or not 1 <= kernel <= LARGEST or kernel % 2 == 0:
            raise UserError(f'{name}: {kernel!r} is not an odd number of frames')
    return kernels


def choose(owner: str, name: str, value: object, table: Mapping[Any, Row]) -> Row:
    """Returns ``table[value]``. Raises UserError, listing the choices, if ``value`` is not a key of the table.

    Args:
        owner: The class or function that the message names.
        name: The argument that the message names.
        value: The key to look up.
        table: The choices; all keys are integers or all are strings.
    """
    if not (is_whole(value) or isinstance(value, str)) or value not in table:
        close = nearest(value, filter(lambda key: isinstance(key, str), table)) if isinstance(value, str) else ''
        raise UserError(f'{owner} has no {name} {value!r}; there are {", ".join(map(str, table))}{close}')
    return table[value]


def check_range(name: str, value: int, low: int, high: int) -> None:
    """Raises UserError if an argument is not an integer from ``low`` to ``high``."""
    if not is_whole(value) or not low <= value <= high:
        raise UserError(f'{name}: {value!r} is not between {low} and {high}')
