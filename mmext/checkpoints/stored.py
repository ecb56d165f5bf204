"""What inference needs of a config, as data in a checkpoint: the model and the test pipeline, as JSON.

mmengine stores the whole config, too, as the text of a Python file. That text is never read, because it would have to
be run. What is stored here is not run either: it only names registered components and their arguments.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine import registry
from mmengine.config import Config

from mmext.components import SCOPES, families
from mmext.config_tree import kind_of, pipeline_of_test
from mmext.errors import UserError

LEFT_OUT = ('init_cfg', 'pretrained', 'checkpoint', 'log_file', 'backend_args', 'file_client_args')
TUPLE = '__tuple__'
REGISTRIES = ('MODELS', 'TRANSFORMS', 'TASK_UTILS')
UNREGISTERED = ('nms', 'soft_nms', 'RoIAlign', 'RoIPool')  # functions and layers that mmcv and mmdet find by name
NAME = re.compile(r'[A-Za-z_]\w*(\.[A-Za-z_]\w*)?')
SIZES = ('RandomCrop', 'Resize')  # the steps of a training that --views needs to know
TEXTS = ('formula', )  # keys whose values are more than names


def pack(config: Config) -> str | None:
    """The part of a config that inference needs, as JSON; None if it has no test pipeline or holds more than data."""
    steps = pipeline_of_test(config)
    if not steps or not config.get('model'):
        return None
    model = dict(config.model)
    if config.get('data_preprocessor'):
        model.setdefault('data_preprocessor', config.data_preprocessor)
    content = dict(default_scope=config.get('default_scope'), model=model, pipeline=steps,
                   train_pipeline=[step for step in train_steps(config) if kind_of(step) in SIZES])
    try:
        return json.dumps(encoded(content))
    except TypeError:
        return None


def train_steps(config: Config) -> list[Mapping]:
    """The steps of the training pipeline; none if the data set is wrapped in another one."""
    dataset = (config.get('train_dataloader') or {}).get('dataset') or {}
    return [step for step in dataset.get('pipeline') or [] if isinstance(step, Mapping)]


def encoded(value: Any) -> Any:
    """A value as JSON can hold it: a tuple as a dict, and without the keys that name files."""
    if isinstance(value, Mapping):
        return {key: encoded(inner) for key, inner in value.items() if key not in LEFT_OUT}
    if isinstance(value, (list, tuple)):
        inside = [encoded(inner) for inner in value]
        return {TUPLE: inside} if isinstance(value, tuple) else inside
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    raise TypeError


def decoded(value: Any) -> Any:
    """The inverse of ``encoded``."""
    if isinstance(value, dict):
        return tuple(map(decoded, value[TUPLE])) if value.keys() == {TUPLE} else {
            key: decoded(inner) for key, inner in value.items()}
    return [decoded(inner) for inner in value] if isinstance(value, list) else value


def unpack(text: str, source: str) -> Config:
    """The config of a model, for inference, from the JSON that ``pack`` made.

    Args:
        text: The JSON.
        source: The file or URL of the checkpoint.

    Raises:
        UserError: The text is damaged; it names something that is not a registered component, or a file or URL; or the
            backbone is not one of mmext.
    """
    try:
        content = decoded(json.loads(text))
        scope, model, pipeline = content['default_scope'], content['model'], content['pipeline']
        backbone = model['backbone']['type']
        loaders = dict(test_dataloader=dict(dataset=dict(pipeline=list(pipeline))),
                       train_dataloader=dict(dataset=dict(pipeline=list(content['train_pipeline']))))
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UserError(f'{source}: the config in it is damaged; give the config, too') from None
    if scope not in (None, *SCOPES, 'mmengine') or not str(backbone).startswith('mmext.'):
        raise UserError(f'{source}: the config in it has the scope {scope!r} and the backbone {backbone!r}, not one of '
                        'mmext; give the config, too')
    known = registered()
    for key, value in leaves(content):
        if not is_harmless(key, value, known):
            raise UserError(f'{source}: the config in it has {key}={value!r}, which is not used from a file; give the '
                            'config, too')
    return Config(dict(default_scope=scope, model=model, **loaders), cfg_text='# data', filename=source)


def registered() -> set[str]:
    """The names of all components of models and pipelines, with and without their scopes."""
    names: set[str] = {*UNREGISTERED}
    for root in REGISTRIES:
        for own in families(getattr(registry, root)):
            names |= {*own.module_dict, *(f'{own.scope}.{name}' for name in own.module_dict)}
    return names


def leaves(value: Any, key: str = '') -> Iterator[tuple[str, Any]]:
    """Yields all values that are not dicts, lists or tuples, and each ``type``, with the key that it is found under."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield 'key', name
            if name == 'type':
                yield name, inner
            else:
                yield from leaves(inner, name)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from leaves(inner, key)
    else:
        yield key, value


def is_harmless(key: str, value: Any, known: set[str]) -> bool:
    """Whether a value of a stored config can neither run code nor name a file.

    mmcv evaluates the ``type`` of a non-maximum suppression, and mmengine imports a ``type`` that is not registered.
    """
    if key in LEFT_OUT or not isinstance(value, (str, bool, int, float, type(None))):
        return False
    if key == 'type':
        return isinstance(value, str) and bool(NAME.fullmatch(value)) and value in known
    return not isinstance(value, str) or key in TEXTS or not re.search(r'[/\\():]', value)
