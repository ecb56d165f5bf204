"""``--cfg-options``: dotted keys, checked against the config and against what its components accept."""

from __future__ import annotations

import inspect

from mmengine import registry
from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmext import registry as own_registry
from mmext.errors import UserError, nearest

REGISTRIES = ('MODELS', 'DATASETS', 'TRANSFORMS', 'HOOKS', 'METRICS', 'OPTIM_WRAPPERS', 'OPTIMIZERS',
              'PARAM_SCHEDULERS', 'LOOPS', 'DATA_SAMPLERS', 'VISUALIZERS', 'VISBACKENDS', 'TASK_UTILS',
              'LOG_PROCESSORS', 'EVALUATOR', 'FUNCTIONS')
RUNNER_READS = ('auto_scale_lr', 'find_unused_parameters', 'sync_bn', 'compile', 'model_wrapper_cfg', 'custom_imports')
LOADER_READS = ('dataset', 'sampler', 'batch_sampler', 'collate_fn', 'worker_init_fn', 'num_batch_per_epoch')
WRAPPER_READS = ('constructor', 'paramwise_cfg')
BUILDER_READS = ('type', '_scope_', 'priority')
OPEN = ('dist_cfg', 'mp_cfg', 'backend_args', 'metainfo')


def apply_options(config: Config, options: dict) -> None:
    """Merges dotted keys into a config, types first, so that a new type's arguments may follow.

    Raises:
        UserError: a key that neither stands in the config nor is an argument of the component it would belong to.
    """
    for key in sorted(options, key=lambda key: not key.endswith('.type')):
        check_key(config, key)
        fill_none(config._cfg_dict, key.split('.'), options[key])
        config.merge_from_dict({key: options[key]})


def fill_none(node: object, parts: list[str], value: object) -> None:
    """Puts an empty dict where a key leads through None, into which mmengine merges nothing."""
    last = len(parts) - (not isinstance(value, dict))
    for part in parts[:last]:
        key = int(part) if isinstance(node, (list, tuple)) else part
        if isinstance(node, dict) and node.get(key, ...) is None:
            node[key] = ConfigDict()
        if isinstance(node, dict) and key not in node:
            return
        node = node[key]


def check_key(config: Config, dotted: str) -> None:
    node: object = config._cfg_dict
    parts = dotted.split('.')
    for i, part in enumerate(parts):
        if node is None:
            return
        if isinstance(node, (list, tuple)):
            if not part.isdigit() or int(part) >= len(node):
                raise UserError(f'--cfg-options {dotted}: {".".join(parts[:i])} is a list of {len(node)}, {part!r} is '
                                'no index of it')
            node = node[int(part)]
        elif not isinstance(node, dict):
            raise UserError(f'--cfg-options {dotted}: {".".join(parts[:i])} is {node!r} and has no keys')
        elif part in node:
            node = node[part]
        else:
            known = accepted_keys(config, node, parts[i - 1] if i else None)
            if known is None or part in known:
                return
            close = nearest('.'.join(parts[:i + 1]), ('.'.join([*parts[:i], name]) for name in {*node, *known}))
            raise UserError(f'--cfg-options {dotted}: no key {part!r} there{close}')


def check_own_components(node: object, place: str = '') -> None:
    """Every part of a config whose type is ours must exist and accept what it is given.

    Raises:
        UserError: naming the place in the config, the argument and the nearest one there is.
    """
    if isinstance(node, (list, tuple)):
        for i, value in enumerate(node):
            check_own_components(value, f'{place}.{i}')
    if not isinstance(node, dict):
        return
    kind = node.get('type')
    if isinstance(kind, str) and kind.startswith('mmext.'):
        component = find_component(kind, None)
        if component is None:
            names = [f'mmext.{name}' for own in vars(own_registry).values() if isinstance(own, registry.Registry)
                     and own.scope == 'mmext' for name in own.module_dict]
            raise UserError(f'{place}: there is no {kind!r}{nearest(kind, names)}')
        known = arguments(component)
        for key in node:
            if key not in known and key not in BUILDER_READS:
                raise UserError(f'{place}: {kind} has no argument {key!r}{nearest(key, known)}')
    for key, value in node.items():
        check_own_components(value, f'{place}.{key}'.lstrip('.'))


def accepted_keys(config: Config, node: ConfigDict, name: str | None) -> set[str] | None:
    """The keys that could be added to a part of a config; None where anything may be."""
    if name in OPEN:
        return None
    if 'type' in node:
        component = find_component(node['type'], config.get('default_scope'))
        if component is None:
            return None
        return arguments(component) | set(WRAPPER_READS if name == 'optim_wrapper' else ())
    if name is None:
        return arguments(Runner) | set(RUNNER_READS)
    if name.endswith('_dataloader'):
        return arguments(DataLoader) | set(LOADER_READS)
    return set()


def find_component(kind: object, scope: str | None) -> object | None:
    """The class or function that a ``type`` names, in whichever registry it is."""
    if not isinstance(kind, str):
        return kind
    names = [kind] if '.' in kind or not scope else [f'{scope}.{kind}', kind]
    for name in names:
        for root in REGISTRIES:
            component = getattr(registry, root).get(name)
            if component is not None:
                return component
    return None


def arguments(component: object) -> set[str]:
    """The arguments of a function or class; where a class hands on ``**kwargs``, those of its bases too."""
    if not inspect.isclass(component):
        return set(inspect.signature(component).parameters)
    names: set[str] = set()
    for cls in component.__mro__:
        if '__init__' not in vars(cls) or cls is object:
            continue
        parameters = inspect.signature(cls.__init__).parameters.values()
        names |= {parameter.name for parameter in parameters if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD,
                                                                                 parameter.KEYWORD_ONLY)}
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            break
    return names - {'self'}
