"""Values of ``--cfg-options``: their text is parsed according to what the key holds."""

from __future__ import annotations

import ast
import inspect
from typing import Any

from mmengine.config import DictAction

from mmext.components import find_component
from mmext.errors import UserError

PATHS = ('checkpoint', 'ann_file', 'class_file', 'label_file', 'data_root', 'load_from', 'work_dir', 'out_dir', 'img',
         'img_path', 'video', 'seg', 'outfile_prefix', 'pretrained')
EMPTY = inspect.Parameter.empty


class Text(str):
    """The text of a value on the command line, which is parsed once the type of its key is known."""


def child_of(node: object, name: str) -> Any:
    """The value of a dict or list under a key or index; None if it does not exist."""
    if isinstance(node, (list, tuple)):
        return node[int(name)] if name.isdigit() and int(name) < len(node) else None
    return node.get(name) if isinstance(node, dict) else None


def value_of(text: str, key: str, node: object, name: str, scope: str | None) -> object:
    """Parses the text of a value on the command line.

    Numbers, ``true`` and ``None`` are converted, ``[a,b]`` becomes a list, ``(a,b)`` a tuple, and ``{...}`` is a Python
    dict. ``a,b`` becomes a list, unless the key holds text, such as a file name, which may contain commas. The value of
    a path is always text, even if it looks like a number.

    Args:
        text: the text.
        key: the dotted key, for messages.
        node: the dict or list that holds the value.
        name: the last part of the key.
        scope: the config's default scope.

    Raises:
        UserError: brackets or braces are not balanced.
    """
    plain = text.strip()
    if plain[:1] == plain[-1:] and plain[:1] in ('"', "'") and len(plain) > 1:
        return plain[1:-1]
    if plain.startswith('{'):
        return dict_of(plain, key)
    holds = held_types(node, name, scope)
    bracketed = plain[:1] + plain[-1:] in ('[]', '()')
    if holds == {str} and name in PATHS and not bracketed:
        return None if plain == 'None' else plain
    if str in holds and not holds & {list, tuple} and ',' in plain and not bracketed:
        return plain
    try:
        return DictAction._parse_iterable(plain)
    except AssertionError:
        if str in holds:  # a file called 'a(1.png'
            return plain
        raise UserError(f'--cfg-options {key}={text}: its brackets are not balanced') from None


def dict_of(text: str, key: str) -> dict:
    """Parses a Python dict of literals. Raises a UserError for anything else."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise UserError(f"--cfg-options {key}={text}: need a Python dict such as "
                        """"{'type': 'SGD', 'lr': 0.1}" """.rstrip())
    return value


def held_types(node: object, name: str, scope: str | None) -> set[type]:
    """The types of values that a key holds: the type of its current value or else of the argument's default."""
    value = child_of(node, name)
    if value is None and isinstance(node, dict) and 'type' in node:
        value = default_of(find_component(node['type'], scope), name)
    if value is None:
        return {str} if name in PATHS else set()
    return {type(value)} if not isinstance(value, (list, tuple)) else {list, tuple}


def default_of(component: object, name: str) -> object:
    """The default value of an argument; None if it has none."""
    classes = component.__mro__ if inspect.isclass(component) else ()
    for called in [vars(cls)['__init__'] for cls in classes if '__init__' in vars(cls) and cls is not object]:
        parameter = inspect.signature(called).parameters.get(name)
        if parameter is not None:
            return None if parameter.default is EMPTY else parameter.default
    return None
