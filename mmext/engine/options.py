"""``--cfg-options``: dotted keys, checked against the config and against what its components accept."""

from __future__ import annotations

import ast
import inspect
import logging
from collections.abc import Iterable, Iterator
from typing import Any

from mmengine.config import Config, ConfigDict, DictAction
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmext.components import arguments, find_component, readable_keys, registry_at
from mmext.errors import UserError, nearest, reason, shorten

RUNNER_READS = ('auto_scale_lr', 'find_unused_parameters', 'sync_bn', 'compile', 'model_wrapper_cfg', 'custom_imports')
LOADER_READS = ('dataset', 'sampler', 'batch_sampler', 'collate_fn', 'worker_init_fn', 'num_batch_per_epoch')
OPEN = ('dist_cfg', 'mp_cfg', 'backend_args', 'metainfo', 'custom_keys')
PARAMWISE = {'custom_keys', 'bias_lr_mult', 'bias_decay_mult', 'norm_decay_mult', 'flat_decay_mult',
             'dwconv_decay_mult', 'dcn_offset_lr_mult', 'bypass_duplicate'}  # of DefaultOptimWrapperConstructor
PATHS = ('checkpoint', 'ann_file', 'class_file', 'label_file', 'data_root', 'load_from', 'work_dir', 'out_dir', 'img',
         'img_path', 'video', 'seg', 'outfile_prefix', 'pretrained')
EMPTY = inspect.Parameter.empty


class Text(str):
    """A value as it was typed, before it is known what its key holds."""


def apply_options(config: Config, options: dict) -> None:
    """Merges dotted keys into a config: ``_delete_`` first, then types, so that a new type's arguments may follow.

    A component of which the type changes loses the arguments that the new type does not have; one line names them.

    Args:
        config: changed in place.
        options: dotted key -> value. A ``Text`` is read as what its key holds, see ``value_of``; all else is the value.

    Raises:
        UserError: a key that neither stands in the config nor is an argument of the component it would belong to, or a
            value that can't be read.
    """
    tell_unread(config, options)
    order = ('_delete_', 'type')
    begun: set[str] = set()
    for key in sorted(options, key=lambda key: (order + (last_of(key), )).index(last_of(key))):
        check_key(config, key, begun)
        value = options[key]
        node, name = holder_of(config, key), last_of(key)
        if isinstance(value, Text):
            value = value_of(value, key, node, name, config.get('default_scope'))
        if name == '_delete_':
            if value and isinstance(node, dict):
                node.clear()
            continue
        if name == 'type' and isinstance(node, dict):
            drop_foreign(config, node, key.rpartition('.')[0], value)
        elif isinstance(value, dict) and value.get('_delete_'):
            replace(node, name, {key: one for key, one in value.items() if key != '_delete_'})
            continue
        elif isinstance(value, dict) and 'type' in value:
            drop_foreign(config, at(node, name), key, value['type'])
        if name in PATHS and not isinstance(value, (str, type(None), list, tuple, dict)):
            raise UserError(f'--cfg-options {key}={value!r}: need a path')
        put(config, key, node, name, value)


def tell_unread(config: Config, keys: Iterable[str]) -> None:
    """Says in a line each which keys are of variables that only other parts of the config were made of.

    They have been used when the config was read: ``max_epochs = 3; train_cfg = dict(max_epochs=max_epochs)``. The
    config's own code, or that of its ``custom_imports``, may still read them, so that they are not refused.
    """
    for key in keys:
        name = key.partition('.')[0]
        if name in config._cfg_dict and name not in arguments(Runner) | set(RUNNER_READS):
            places = [place for section in config._cfg_dict if section in arguments(Runner)
                      for place in places_named(name, config._cfg_dict[section], section)]
            hint = f'; did you mean {shorten(places, 4)}?' if places else '; change what was made of it'
            print_log(f'--cfg-options {key}: changes nothing, since a run does not read {name}, and what the config '
                      f'made of it stays as it is{hint}', 'current', logging.WARNING)


def places_named(name: str, node: object, place: str) -> Iterator[str]:
    """Where a config has a key of this name."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        if key == name:
            yield f'{place}.{key}'
        yield from places_named(name, value, f'{place}.{key}')


def last_of(key: str) -> str:
    return key.rpartition('.')[2]


def at(node: object, name: str) -> Any:
    """What a dict or list holds under a key or index; None where it has no such."""
    if isinstance(node, (list, tuple)):
        return node[int(name)] if name.isdigit() and int(name) < len(node) else None
    return node.get(name) if isinstance(node, dict) else None


def put(config: Config, key: str, node: object, name: str, value: object) -> None:
    """Writes one value into a config; a dict is merged into the one that is there."""
    if isinstance(node, list) and not isinstance(value, dict):
        node[int(name)] = value
        return
    fill_none(config._cfg_dict, key.split('.'), value)
    try:
        config.merge_from_dict({key: value})
    except (TypeError, KeyError, IndexError, AttributeError) as error:
        raise UserError(f'--cfg-options {key}={value!r}: does not fit what is there ({reason(error)})') from None


def replace(node: dict | list, name: str, value: dict) -> None:
    if isinstance(node, list):
        node[int(name)] = ConfigDict(value)
    else:
        node[name] = ConfigDict(value)


def holder_of(config: Config, dotted: str) -> Any:
    """The dict or list that a key's last part belongs to; None where there is none yet."""
    node: object = config._cfg_dict
    for part in dotted.split('.')[:-1]:
        node = at(node, part)
    return node


def value_of(text: str, key: str, node: object, name: str, scope: str | None) -> object:
    """What a typed value stands for.

    ``1``, ``0.1``, ``true`` and ``None`` are what they look like, ``[a,b]`` and ``(a,b)`` a list and a tuple, ``{...}``
    a dict in Python's form, and ``a,b`` is a list, except where the key holds a text, such as a file name: it is a text
    there, comma and all, and a number too where the key is a path.

    Raises:
        UserError: brackets or braces that are not closed.
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
        raise UserError(f'--cfg-options {key}={text}: its brackets are not in pairs') from None


def dict_of(text: str, key: str) -> dict:
    """A dict in Python's form; nothing in it is run."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise UserError(f"--cfg-options {key}={text}: need a dict in Python's form, such as "
                        """"{'type': 'SGD', 'lr': 0.1}" """.rstrip())
    return value


def held_types(node: object, name: str, scope: str | None) -> set[type]:
    """The types of value that a key holds: of the value that is there, or else of the argument's default."""
    value = at(node, name)
    if value is None and isinstance(node, dict) and 'type' in node:
        value = default_of(find_component(node['type'], scope), name)
    if value is None:
        return {str} if name in PATHS else set()
    return {type(value)} if not isinstance(value, (list, tuple)) else {list, tuple}


def default_of(component: object, name: str) -> object:
    """The default of an argument; None where it has none."""
    classes = component.__mro__ if inspect.isclass(component) else ()
    for called in [vars(cls)['__init__'] for cls in classes if '__init__' in vars(cls) and cls is not object]:
        parameter = inspect.signature(called).parameters.get(name)
        if parameter is not None:
            return None if parameter.default is EMPTY else parameter.default
    return None


def drop_foreign(config: Config, node: object, place: str, kind: object) -> None:
    """Takes from a part of a config what a new type of it would not take, and says so."""
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
        print_log(f'--cfg-options {place}.type={kind}: {shorten(foreign, 8)} of {node["type"]} left out, which {kind} '
                  'does not have', 'current', logging.WARNING)


def fill_none(node: Any, parts: list[str], value: object) -> None:
    """Puts an empty dict where a key leads through None, into which mmengine merges nothing."""
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


def check_key(config: Config, dotted: str, begun: set[str]) -> None:
    """Raises a UserError for a key that is not there and that nothing would read.

    Args:
        config: as the options before this one have left it.
        dotted: the key.
        begun: the places that held nothing before the options, such as ``optim_wrapper.clip_grad``. While no ``type``
            stands there, any key may. A place that this key begins is added.
    """
    node: object = config._cfg_dict
    parts = dotted.split('.')
    for i, part in enumerate(parts):
        place = '.'.join(parts[:i])
        if node is None:
            begun.add(place)
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
            known = accepted_keys(config, node, parts[:i], place in begun)
            if known is not None and part not in known and part != '_delete_':
                close = nearest(f'{place}.{part}'.strip('.'),
                                ('.'.join([*parts[:i], name]) for name in {*node, *known}))
                raise UserError(f'--cfg-options {dotted}: no key {part!r} there{close}')
            node = None


def accepted_keys(config: Config, node: dict, place: list[str], begun: bool = False) -> set[str] | None:
    """The keys that could be added to a part of a config, which options may have begun; None where anything may be."""
    if not set(OPEN).isdisjoint(place):
        return None
    if place[-1:] == ['paramwise_cfg']:
        return None if (holder_of(config, '.'.join(place)) or {}).get('constructor') else PARAMWISE
    if 'type' in node:
        root = registry_at(tuple(place))
        component = find_component(node['type'], node.get('_scope_') or config.get('default_scope'), root)
        return None if component is None else readable_keys(component, root)
    if begun:
        return None
    if not place:
        return arguments(Runner) | set(RUNNER_READS)
    if place[-1].endswith('_dataloader'):
        return arguments(DataLoader) | set(LOADER_READS)
    if not node:  # emptied by _delete_
        return {'type'}
    return set()
