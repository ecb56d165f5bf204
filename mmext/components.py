"""The component that a ``type`` in a config names: its class or function, its registry and its arguments."""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable

from mmengine import registry
from mmengine.registry import Registry

REGISTRIES = ('MODELS', 'DATASETS', 'TRANSFORMS', 'HOOKS', 'METRICS', 'OPTIM_WRAPPERS', 'OPTIMIZERS',
              'PARAM_SCHEDULERS', 'LOOPS', 'DATA_SAMPLERS', 'VISUALIZERS', 'VISBACKENDS', 'TASK_UTILS',
              'LOG_PROCESSORS', 'EVALUATOR', 'FUNCTIONS', 'WEIGHT_INITIALIZERS', 'OPTIM_WRAPPER_CONSTRUCTORS',
              'RUNNERS')
SCOPES = ('mmext', 'mmdet', 'mmaction')
TOP = dict(model='MODELS', optim_wrapper='OPTIM_WRAPPERS', param_scheduler='PARAM_SCHEDULERS', visualizer='VISUALIZERS',
           log_processor='LOG_PROCESSORS', train_cfg='LOOPS', val_cfg='LOOPS', test_cfg='LOOPS', default_hooks='HOOKS',
           custom_hooks='HOOKS', val_evaluator='METRICS', test_evaluator='METRICS')
NESTED = dict(optimizer='OPTIMIZERS', vis_backends='VISBACKENDS', dataset='DATASETS', datasets='DATASETS',
              pipeline='TRANSFORMS', transforms='TRANSFORMS', batch_sampler='DATA_SAMPLERS', collate_fn='FUNCTIONS',
              worker_init_fn='FUNCTIONS', metrics='METRICS', backbone='MODELS', neck='MODELS', bbox_head='MODELS',
              mask_head='MODELS', rpn_head='MODELS', roi_head='MODELS', cls_head='MODELS', data_preprocessor='MODELS',
              bbox_roi_extractor='MODELS', loss_cls='MODELS', loss_bbox='MODELS', anchor_generator='TASK_UTILS',
              bbox_coder='TASK_UTILS', assigner='TASK_UTILS', init_cfg='WEIGHT_INITIALIZERS',
              blending='MODELS', augments='MODELS')
READ_BY_OTHERS = ('loss_cls', 'loss_bbox', 'init_cfg')  # their owners remove some arguments before building them
PLAIN = ('paramwise_cfg', 'nms', 'roi_layer', 'dist_cfg', 'mp_cfg', 'backend_args', 'metainfo', 'meta')
BUILDER_READS = ('type', '_scope_', 'priority')
READ_OUTSIDE = dict(OPTIM_WRAPPERS=('constructor', 'paramwise_cfg'), PARAM_SCHEDULERS=('convert_to_iter_based', ))


def registry_at(keys: tuple[str, ...]) -> str | None:
    """The name of the registry for the dict at a place in a config; None if it is not certain.

    Args:
        keys: The keys, including indices of lists, that lead to the place.
    """
    names = [key for key in keys if not key.isdigit()]
    if not names:
        return None
    if len(names) == 1 or names[0] == 'default_hooks' and len(names) == 2:
        return TOP.get(names[0])
    if names[-1] == 'sampler' and names[-2].endswith('_dataloader'):
        return 'DATA_SAMPLERS'
    return NESTED.get(names[-1])


def find_component(kind: object, scope: str | None, root: str | None = None) -> Callable | None:
    """Looks up the class or function that a ``type`` names; None if there is none.

    Args:
        kind: The ``type``. If it is not a string, it is the component itself.
        scope: The scope in which a name without a scope is searched first.
        root: The name of the registry; None searches all registries.
    """
    if not isinstance(kind, str):
        return kind if callable(kind) else None
    if not kind:  # mmengine's registries fail on it
        return None
    names = [kind] if '.' in kind or not scope else [f'{scope}.{kind}', kind]
    for name in names:
        for place in same_place(root):
            component = getattr(registry, place).get(name)
            if component is not None:
                return component
    return None


def same_place(root: str | None) -> tuple[str, ...]:
    """The registries to search for a registry's name: all for None; evaluators can be used in place of metrics."""
    return REGISTRIES if root is None else (root, 'EVALUATOR') if root == 'METRICS' else (root, )


def similar_types(kind: str, scope: str | None, root: str | None = None, count: int = 3, least: float = 0.6) -> str:
    """Suggests the registered names most similar to a mistyped one: "; did you mean 'mmext.BatchRandomCrop'?", or ''.

    Args:
        kind: The mistyped name.
        scope: The scope whose names need no prefix.
        root: The name of the registry; None searches all registries.
        count: The largest number of suggestions.
        least: The smallest similarity of a suggestion, from 0 to 1.
    """
    found: dict[str, list[str]] = {}
    for place in same_place(root):
        for own in families(getattr(registry, place)):
            for name in own.module_dict:
                bare = own.scope in ('mmengine', scope)
                found.setdefault(name.lower(), []).append(name if bare else f'{own.scope}.{name}')
    word = kind.rpartition('.')[2].lower()
    close = difflib.get_close_matches(word, found, n=count, cutoff=least)
    names = list(dict.fromkeys(full for name in close for full in found[name]))[:count]
    return f'; did you mean {" or ".join(map(repr, names))}?' if names else ''


def families(root: Registry) -> list[Registry]:
    """A registry and its children, after importing the modules that register their components, where possible."""
    for scope in SCOPES:
        try:
            importlib.import_module(f'{scope}.registry')
        except ImportError:  # a toolbox that is not installed
            continue
    found = [root, *root.children.values()]
    for own in found:
        try:
            own.import_from_location()
        except ImportError:
            continue
    return found


def arguments(component: Callable | None) -> set[str]:
    """The argument names of a function or class, including those of base classes that get its ``**kwargs``.

    An unknown component (None, see ``find_component``) has none.
    """
    if component is None:
        return set()
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


def accepts(part: dict, argument: str, scope: str | None) -> bool:
    """Whether the component of a dict in a config is one of mmext and has an argument."""
    return part['type'].startswith('mmext.') and argument in arguments(find_component(part['type'], scope))


def takes_any(component: Callable) -> bool:
    """Whether a component from outside mmext takes ``**kwargs``, so that its valid arguments are unknown."""
    called = component.__init__ if inspect.isclass(component) else component
    try:
        kinds = {parameter.kind for parameter in inspect.signature(called).parameters.values()}
    except (TypeError, ValueError):  # written in C
        return True
    return inspect.Parameter.VAR_KEYWORD in kinds and not getattr(component, '__module__', '').startswith('mmext.')


def readable_keys(component: Callable, root: str | None) -> set[str]:
    """The keys that are allowed beside a ``type``: the component's arguments, and keys that its builder reads."""
    return arguments(component) | set(BUILDER_READS) | set(READ_OUTSIDE.get(root or '', ()))
