"""Checks that a training can resume from a checkpoint."""

from __future__ import annotations

import math
from pathlib import Path

from torch import Tensor
from torch.optim import Optimizer

from mmext.errors import UserError, shorten

REQUIRED = ('meta', 'state_dict', 'message_hub', 'optimizer')
MESSAGE_HUB_KEYS = ('log_scalars', 'runtime_info', 'resumed_keys')


def require_resumable(content: dict, path: str | Path) -> None:
    """Raises UserError if a checkpoint was not written by a training, or a part of it is malformed."""
    absent = [key for key in REQUIRED if key not in content]
    if absent:
        raise UserError(f'{path}: not a checkpoint of a training ({absent[0]!r} is missing); to start from its weights '
                        'use --cfg-options load_from=FILE')
    for key in REQUIRED:
        if not isinstance(content[key], dict):
            raise malformed(path, key, content[key], 'a dict')
    meta = content['meta']
    for key in ('epoch', 'iter'):
        if not isinstance(meta.get(key), int) or isinstance(meta[key], bool) or meta[key] < 0:
            raise malformed(path, f'meta.{key}', meta.get(key), 'a number from 0')
    seed = meta.get('seed')
    if seed is not None and not (isinstance(seed, int) and 0 <= seed < 2**32):
        raise malformed(path, 'meta.seed', seed, f'a number from 0 to {2**32 - 1}')
    for key, value in content['state_dict'].items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise malformed(path, f'state_dict.{key}', value, 'a tensor')
    require_message_hub(content['message_hub'], path)
    require_groups(content['optimizer'], path)
    if not isinstance(content.get('param_schedulers', []), (list, dict)):
        raise malformed(path, 'param_schedulers', content['param_schedulers'], 'a list')


def require_message_hub(hub: dict, path: str | Path) -> None:
    """Raises UserError if the state of mmengine's message hub is malformed."""
    from mmengine.logging import HistoryBuffer

    for key in MESSAGE_HUB_KEYS:
        if not isinstance(hub.get(key), dict):
            raise malformed(path, f'message_hub.{key}', hub.get(key), 'a dict')
    for key, value in hub['log_scalars'].items():
        if not isinstance(value, HistoryBuffer):
            raise malformed(path, f'message_hub.log_scalars.{key}', value, 'a HistoryBuffer')


def require_groups(optimizer: dict, path: str | Path) -> None:
    """Raises UserError if an optimiser's state is malformed. The state of several optimisers is left to mmengine."""
    if 'param_groups' not in optimizer and any(isinstance(value, dict) and 'param_groups' in value
                                               for value in optimizer.values()):
        return
    groups, state = optimizer.get('param_groups'), optimizer.get('state')
    if not isinstance(state, dict):
        raise malformed(path, 'optimizer.state', state, 'a dict')
    if not isinstance(groups, list) or not all(isinstance(group, dict) for group in groups):
        raise malformed(path, 'optimizer.param_groups', groups, 'a list of dicts')
    for i, group in enumerate(groups):
        if not isinstance(group.get('params'), list):
            raise malformed(path, f'optimizer.param_groups.{i}.params', group.get('params'), 'a list')
        rate = group.get('lr')
        if not isinstance(rate, (int, float, Tensor)) or not math.isfinite(rate):
            raise malformed(path, f'optimizer.param_groups.{i}.lr', rate, 'a finite number')


def require_same_groups(saved: dict, optimizer: Optimizer, path: str | Path) -> None:
    """Raises UserError if the saved state of an optimiser does not fit this optimiser and its parameters."""
    if 'param_groups' not in saved:
        return
    own, theirs = optimizer.param_groups, saved['param_groups']
    advice = '; was it trained with the same config? To load only its weights use --cfg-options load_from=FILE'
    counts = [[len(group['params']) for group in groups] for groups in (theirs, own)]
    if counts[0] != counts[1]:
        described = [f'{len(count)} parameter group{"s" * (len(count) != 1)} of {sum(count)} parameters'
                     for count in counts]
        raise UserError(f'{path}: its optimiser has {described[0]}, this one {described[1]}{advice}')
    for mine, other in zip(own, theirs):
        absent = [key for key in mine if key not in other]
        if absent:
            raise UserError(f'{path}: its optimiser has no {shorten(absent)}, which this {type(optimizer).__name__} '
                            f'has{advice}')
        for parameter, number in zip(mine['params'], other['params']):
            state = saved['state'].get(number, {})
            if not isinstance(state, dict):
                raise malformed(path, f'optimizer.state.{number}', state, 'a dict')
            for key, value in state.items():
                if isinstance(value, Tensor) and value.dim() and value.shape != parameter.shape:
                    raise UserError(f'{path}: optimizer.state.{number}.{key} has the shape {tuple(value.shape)}, but '
                                    f'its parameter has {tuple(parameter.shape)}{advice}')


def malformed(path: str | Path, place: str, value: object, need: str) -> UserError:
    """The error for a part of a checkpoint, at the dotted ``place``, that is not what is needed."""
    found = 'missing' if value is None else f'{type(value).__name__} {" ".join(repr(value).split())[:40]}'
    return UserError(f'{path}: {place} is {found}, need {need}; not a checkpoint of a training, or a damaged one')
