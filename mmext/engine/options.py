"""``--cfg-options``: dotted keys, checked against the config and against what its components accept."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmext.components import arguments, find_component, readable_keys, registry_at
from mmext.engine.option_values import PATHS, Text, child_of, value_of
from mmext.errors import UserError, nearest, reason, shorten

RUNNER_READS = ('auto_scale_lr', 'find_unused_parameters', 'sync_bn', 'compile', 'model_wrapper_cfg', 'custom_imports')
LOADER_READS = ('dataset', 'sampler', 'batch_sampler', 'collate_fn', 'worker_init_fn', 'num_batch_per_epoch')
OPEN = ('dist_cfg', 'mp_cfg', 'backend_args', 'metainfo', 'custom_keys')
PARAMWISE = {'custom_keys', 'bias_lr_mult', 'bias_decay_mult', 'norm_decay_mult', 'flat_decay_mult',
             'dwconv_decay_mult', 'dcn_offset_lr_mult', 'bypass_duplicate'}  # of DefaultOptimWrapperConstructor



def apply_options(config: Config, options: dict) -> None:
    """Merges dotted keys into a config: first ``_delete_``, then types, then the arguments of new types.

    If the type of a component changes, arguments that the new type does not have are removed, with a warning.

    Args:
        config: changed in place.
        options: dotted key -> value. A ``Text`` is parsed according to its key, see ``value_of``.

    Raises:
        UserError: a key is neither in the config nor an argument of the component that it would belong to, or a value
            can't be parsed.
    """
    warn_unused_keys(config, options)
    order = ('_delete_', 'type')
    created: set[str] = set()
    for key in sorted(options, key=lambda key: (order + (last_part(key), )).index(last_part(key))):
        check_key(config, key, created)
        value = options[key]
        node, name = parent_of(config, key), last_part(key)
        if isinstance(value, Text):
            value = value_of(value, key, node, name, config.get('default_scope'))
        if name == '_delete_':
            if value and isinstance(node, dict):
                node.clear()
            continue
        if name == 'type' and isinstance(node, dict):
            drop_unknown_arguments(config, node, key.rpartition('.')[0], value)
        elif isinstance(value, dict) and value.get('_delete_'):
            replace_value(node, name, {key: one for key, one in value.items() if key != '_delete_'})
            continue
        elif isinstance(value, dict) and 'type' in value:
            drop_unknown_arguments(config, child_of(node, name), key, value['type'])
        if name in PATHS and not isinstance(value, (str, type(None), list, tuple, dict)):
            raise UserError(f'--cfg-options {key}={value!r}: need a path')
        set_value(config, key, node, name, value)


def warn_unused_keys(config: Config, keys: Iterable[str]) -> None:
    """Warns about keys of variables that only serve to define other parts of the config.

    Such a variable was evaluated when the config was read: ``max_epochs = 3; train_cfg = dict(max_epochs=max_epochs)``.
    It is not refused, because code of the config or of its ``custom_imports`` may still read it.
    """
    for key in keys:
        name = key.partition('.')[0]
        if name in config._cfg_dict and name not in arguments(Runner) | set(RUNNER_READS):
            places = [place for section in config._cfg_dict if section in arguments(Runner)
                      for place in places_named(name, config._cfg_dict[section], section)]
            hint = f'; did you mean {shorten(places, 4)}?' if places else '; change the keys that were computed from it'
            print_log(f'--cfg-options {key}: has no effect, because a run does not read {name}, and keys computed from '
                      f'it are not updated{hint}', 'current', logging.WARNING)


def places_named(name: str, node: object, place: str) -> Iterator[str]:
    """Yields the dotted keys of a config whose last part is ``name``."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        if key == name:
            yield f'{place}.{key}'
        yield from places_named(name, value, f'{place}.{key}')


def last_part(key: str) -> str:
    """The last part of a dotted key."""
    return key.rpartition('.')[2]


def set_value(config: Config, key: str, node: object, name: str, value: object) -> None:
    """Writes one value into a config; a dict is merged into an existing one."""
    if isinstance(node, list) and not isinstance(value, dict):
        node[int(name)] = value
        return
    fill_none(config._cfg_dict, key.split('.'), value)
    try:
        config.merge_from_dict({key: value})
    except (TypeError, KeyError, IndexError, AttributeError) as error:
        raise UserError(f'--cfg-options {key}={value!r}: does not fit the existing value ({reason(error)})') from None


def replace_value(node: dict | list, name: str, value: dict) -> None:
    """Replaces an entry of a dict or list by a dict."""
    if isinstance(node, list):
        node[int(name)] = ConfigDict(value)
    else:
        node[name] = ConfigDict(value)


def parent_of(config: Config, dotted: str) -> Any:
    """The dict or list that the last part of a key belongs to; None if it does not exist yet."""
    node: object = config._cfg_dict
    for part in dotted.split('.')[:-1]:
        node = child_of(node, part)
    return node


def drop_unknown_arguments(config: Config, node: object, place: str, kind: object) -> None:
    """Removes arguments that a component's new type does not have, and warns about them."""
    if not isinstance(node, dict) or node.get('type') in (None, kind):
        return
    scope, root = config.get('default_scope'), registry_at(tuple(place.split('.')))
    component = find_component(kind, node.get('_scope_') or scope, root)
    if component is None:
        return
    known = readable_keys(component, root)
    foreign = [key for key in node if key not in known]
    for key in foreign:
        del node[key]
    if foreign:
        print_log(f'--cfg-options {place}.type={kind}: {shorten(foreign, 8)} of {node["type"]} removed, which {kind} '
                  'does not have', 'current', logging.WARNING)


def fill_none(node: Any, parts: list[str], value: object) -> None:
    """Replaces None on the path of a key by an empty dict, because mmengine can't merge into None."""
    last = len(parts) - (not isinstance(value, dict))
    for part in parts[:last]:
        if isinstance(node, (list, tuple)):
            node = node[int(part)]
            continue
        if isinstance(node, dict) and node.get(part, ...) is None:
            node[part] = ConfigDict()
        if isinstance(node, dict) and part not in node:
            return
        node = node[part]


def check_key(config: Config, dotted: str, created: set[str]) -> None:
    """Raises a UserError for a key that is not in the config and that nothing would read.

    Args:
        config: the config after the previous options.
        dotted: the key.
        created: the dicts that options have created, such as ``optim_wrapper.clip_grad``. As long as they have no
            ``type``, they accept any key. A dict that this key creates is added.
    """
    node: object = config._cfg_dict
    parts = dotted.split('.')
    for i, part in enumerate(parts):
        place = '.'.join(parts[:i])
        if node is None:
            created.add(place)
            node = {}
        if isinstance(node, (list, tuple)):
            if not (part.isascii() and part.isdigit()) or int(part) >= len(node):
                raise UserError(f'--cfg-options {dotted}: {place} is a list of {len(node)}, {part!r} is no index of it')
            node = node[int(part)]
        elif not isinstance(node, dict):
            raise UserError(f'--cfg-options {dotted}: {place} is {node!r} and has no keys')
        elif part in node:
            node = node[part]
        else:
            known = accepted_keys(config, node, parts[:i], place in created)
            if known is not None and part not in known and part != '_delete_':
                close = nearest(f'{place}.{part}'.strip('.'),
                                ('.'.join([*parts[:i], name]) for name in {*node, *known}))
                raise UserError(f'--cfg-options {dotted}: no key {part!r} there{close}')
            node = None


def accepted_keys(config: Config, node: dict, place: list[str], created: bool = False) -> set[str] | None:
    """The keys that may be added to a part of a config; None if any key may be."""
    if not set(OPEN).isdisjoint(place):
        return None
    if place[-1:] == ['paramwise_cfg']:
        return None if (parent_of(config, '.'.join(place)) or {}).get('constructor') else PARAMWISE
    if 'type' in node:
        root = registry_at(tuple(place))
        component = find_component(node['type'], node.get('_scope_') or config.get('default_scope'), root)
        return None if component is None else readable_keys(component, root)
    if created:
        return None
    if not place:
        return arguments(Runner) | set(RUNNER_READS)
    if place[-1].endswith('_dataloader'):
        return arguments(DataLoader) | set(LOADER_READS)
    if not node:  # emptied by _delete_
        return {'type'}
    return set()
