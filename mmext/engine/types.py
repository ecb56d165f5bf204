"""Checks, before anything is built, that every ``type`` in a config exists and accepts its arguments."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

from mmengine.config import Config
from mmengine.runner import Runner

from mmext.components import (
    PLAIN,
    READ_BY_OTHERS,
    SCOPES,
    arguments,
    find_component,
    readable_keys,
    registry_at,
    similar_types,
    takes_any,
)
from mmext.errors import UserError, nearest

PARTS = ('pipeline', 'optimizer', 'param_scheduler', 'custom_hooks', 'vis_backends', 'model')
ONE = ('model', 'train_dataloader', 'val_dataloader', 'test_dataloader', 'optim_wrapper', 'train_cfg', 'val_cfg',
       'test_cfg', 'default_hooks', 'visualizer', 'log_processor', 'env_cfg', 'randomness', 'auto_scale_lr')
MANY = ('param_scheduler', 'custom_hooks', 'val_evaluator', 'test_evaluator')
OURS = 'mmext.'
SIMILARITY = 0.8  # an unknown name this similar to a registered one is considered a typing mistake


def check_types(config: Config) -> None:
    """Checks the sections of a config that a run reads; helper variables of the config are ignored.

    Raises:
        UserError: a ``type`` is missing, unknown or of the wrong kind for its place, or a component does not have an
            argument. The message names the key and the most similar name.
    """
    scope = config.get('default_scope')
    if scope is not None and (not isinstance(scope, str) or importlib.util.find_spec(scope) is None):
        raise UserError(f'default_scope: there is no {scope!r}; is it installed?{nearest(str(scope), SCOPES)}')
    check_sections(config)
    for name, whole in config._cfg_dict.items():
        if name in arguments(Runner):
            check_part(whole, (name, ), scope)


def check_sections(config: Config) -> None:
    """Raises a UserError if a section that a run reads, such as ``model``, is not a dict (or list of dicts)."""
    for name, whole in config._cfg_dict.items():
        kinds = (dict, list, tuple) if name in MANY else dict
        if name in (*ONE, *MANY) and whole is not None and not isinstance(whole, kinds):
            raise UserError(f'{name}: {whole!r} is not a dict of settings')


def check_part(node: object, keys: tuple[str, ...], scope: str | None) -> None:
    """Checks a part of a config, recursively. Raises a UserError as ``check_types`` does."""
    if isinstance(node, (list, tuple)):
        for i, value in enumerate(node):
            check_part(value, (*keys, str(i)), scope)
    if keys[-1].isdigit() and keys[-2] in PARTS and not isinstance(node, (dict, list, tuple)) and not callable(node):
        raise UserError(f'{".".join(keys)}: {node!r} is not a dict with a type')
    if not isinstance(node, dict) or keys[-1] in PLAIN:
        return
    scope = node.get('_scope_') or scope
    if 'type' in node:
        check_component(node, keys, scope)
    elif [key for key in keys if not key.isdigit()][-1] in PARTS or keys == ('model', 'backbone'):
        raise UserError(f'{".".join(keys)}: has no type that says what to build from {list_keys(node)}')
    constructor = node.get('constructor')
    if keys == ('optim_wrapper', ) and isinstance(constructor, str):
        require_type(constructor, (*keys, 'constructor'), scope, 'OPTIM_WRAPPER_CONSTRUCTORS')
    for key, value in node.items():
        check_part(value, (*keys, str(key)), scope)


def list_keys(node: dict) -> str:
    """The keys of a dict, for messages."""
    return ', '.join(map(str, node)) or 'an empty dict'


def check_component(node: dict, keys: tuple[str, ...], scope: str | None) -> None:
    """Checks the type and the arguments of one component."""
    root, kind = registry_at(keys), node['type']
    component = require_type(kind, (*keys, 'type'), scope, root)
    ours = isinstance(kind, str) and kind.startswith(OURS)
    if not (ours or root and keys[-1] not in READ_BY_OTHERS) or component is None or takes_any(component):
        return
    known = readable_keys(component, root)
    for key in node:
        if key not in known:
            name = kind if isinstance(kind, str) else kind.__name__
            raise UserError(f'{".".join(keys)}: {name} has no argument {key!r}{nearest(str(key), known)}; if it '
                            'belongs to another type in a base config, remove it with _delete_=True in the dict')


def require_type(kind: object, keys: tuple[str, ...], scope: str | None, root: str | None) -> Callable | None:
    """The component that a ``type`` names. Raises a UserError if there is none.

    Without a known registry (``root`` is None), as for an option of a neck, the word may have another meaning. It is
    then refused only if it is very similar to the name of a component.
    """
    if not isinstance(kind, str) and not callable(kind):
        raise UserError(f'{".".join(keys)}: {kind!r} is not the name of a component')
    component = find_component(kind, scope, root)
    if component is not None or not isinstance(kind, str):
        return component
    if root is None and not kind.startswith(OURS):
        close = similar_types(kind, scope, least=SIMILARITY) if kind[:1].isupper() else ''
        if close:
            raise UserError(f'{".".join(keys)}: there is no {kind!r}{close}')
    else:
        elsewhere = root and find_component(kind, scope)
        what = f'{kind!r} is registered, but not for this place' if elsewhere else f'there is no {kind!r}'
        raise UserError(f'{".".join(keys)}: {what}{similar_types(kind, scope, root)}')
    return None
