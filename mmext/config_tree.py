"""Helpers for walking through a config: its data sets, hooks and values."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from typing import Any

from mmengine.config import Config

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def datasets_of(config: Config, *loaders: str) -> list[dict]:
    """The data set dicts of these loaders, by default of all loaders, including those inside wrappers."""
    found: list[dict] = []

    def collect(node: object) -> None:
        if isinstance(node, dict):
            if 'pipeline' in node and ('ann_file' in node or 'data_root' in node):
                found.append(node)
            for value in node.values():
                collect(value)
        elif isinstance(node, (list, tuple)):
            for value in node:
                collect(value)

    for name in loaders or LOADERS:
        collect(config.get(name))
    return found


def pipeline_of_test(config: Config) -> list[dict]:
    """The pipeline of the test data set; an empty list if the config has none."""
    return (config.get('test_dataloader') or {}).get('dataset', {}).get('pipeline') or []


def kind_of(part: Mapping) -> str:
    """The name of the ``type`` of a dict in a config, without its scope; '' if it has no type."""
    kind = part.get('type')
    return (kind if isinstance(kind, str) else getattr(kind, '__name__', '')).rpartition('.')[2]


def add_hook(config: Config, hook: dict) -> None:
    """Appends a hook to the config's ``custom_hooks``."""
    config.custom_hooks = [*(config.get('custom_hooks') or []), hook]


def replace_values(node: Any, change: Callable[[Any, Any], object], spared: Container[str] = ()) -> Any:
    """Replaces the leaves of a tree of dicts, lists and tuples. Dicts are changed in place, lists and tuples copied.

    Args:
        node: The tree.
        change: ``change(key, value)`` returns the new value of a leaf; the key is None in lists and tuples.
        spared: Keys whose values are left unchanged.

    Returns:
        The tree.
    """
    if isinstance(node, dict):
        for key, value in node.items():
            if key not in spared:
                dict.__setitem__(node, key, replace_values(value, change, spared) if is_nested(value)
                                 else change(key, value))
        return node
    return type(node)(replace_values(value, change, spared) if is_nested(value) else change(None, value)
                      for value in node)


def is_nested(value: object) -> bool:
    """Whether a value is a dict, list or tuple."""
    return isinstance(value, (dict, list, tuple))
