"""What differs between a checkpoint's config and the one that is to go on from it."""

from __future__ import annotations

import ast
import math
import os
from collections.abc import Iterator
from pathlib import Path

from mmengine.config import Config
from mmengine.logging import print_log

from mmext.engine.resume.loops import is_resumable
from mmext.errors import UserError, shorten

# What a checkpoint's optimiser, schedulers, generators or place in the data decide, whatever the config says.
DECIDED = ('optim_wrapper.optimizer', 'optim_wrapper.paramwise_cfg', 'optim_wrapper.constructor',
           'optim_wrapper.accumulative_counts', 'param_scheduler', 'auto_scale_lr', 'train_cfg.type',
           'train_dataloader.batch_size', 'train_dataloader.sampler', 'train_dataloader.batch_sampler',
           'train_dataloader.num_batch_per_epoch', 'train_dataloader.drop_last', 'randomness.diff_rank_seed')
FOLLOWED = ('model', 'optim_wrapper', 'train_cfg', 'val_cfg', 'train_dataloader', 'custom_hooks', 'default_hooks')
OF_THE_MACHINE = ('num_workers', 'persistent_workers', 'prefetch_factor', 'pin_memory', 'save_every', 'data_root')
DEFAULTS = {'optim_wrapper.accumulative_counts': 1, 'train_dataloader.drop_last': False}
INFINITIES = {'inf': math.inf, 'nan': math.nan}
Flat = dict[str, object]


def parse_config(text: str) -> dict:
    """A config from the text that mmengine makes of it, read as data: nothing in it is run.

    What is neither a literal nor ``dict(...)`` stays the text that it is.

    Raises:
        ValueError: it is no such text.
    """
    try:
        statements = ast.parse(text).body
        return {statement.targets[0].id: literal(statement.value) for statement in statements
                if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)}
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError(str(error)) from None


def literal(node: ast.expr) -> object:
    """The value of an expression."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'dict' and not node.args:
        return {word.arg: literal(word.value) for word in node.keywords}
    if isinstance(node, ast.Dict) and None not in node.keys:
        return {str(literal(key)): literal(value) for key, value in zip(node.keys, node.values) if key}
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        return [literal(value) for value in node.elts]
    if isinstance(node, ast.Name) and node.id in INFINITIES:
        return INFINITIES[node.id]
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = literal(node.operand)
        return -value if isinstance(value, (int, float)) else ast.unparse(node)
    return ast.unparse(node)


def leaves(node: object, place: str = '') -> Iterator[tuple[str, object]]:
    """(dotted key, value) of a tree; an empty dict or list is a value."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    if not items or not node:
        yield place, node
    for key, value in items:
        yield from leaves(value, f'{place}.{key}' if place else str(key))


def settings(config: dict) -> Flat:
    """The settings of a config, as far as they matter for going on, in one form."""
    config = {key: value for key, value in config.items() if key in FOLLOWED or key in (
        'param_scheduler', 'auto_scale_lr', 'randomness')}
    loop = dict(config.get('train_cfg') or {})
    kind = loop.pop('type', None) or ('EpochBased' if loop.get('by_epoch', True) else 'IterBased') + 'TrainLoop'
    loop.pop('by_epoch', None)
    config['train_cfg'] = dict(loop, type=str(kind).rpartition('.')[2])
    if not (config.get('auto_scale_lr') or {}).get('enable'):
        config['auto_scale_lr'] = dict(enable=False)
    config['param_scheduler'] = config.get('param_scheduler') or []
    if isinstance(config['param_scheduler'], dict):
        config['param_scheduler'] = [config['param_scheduler']]
    return {**DEFAULTS, **dict(leaves(config))}


def differences(saved: Flat, own: Flat) -> tuple[list[str], list[str]]:
    """What a checkpoint decides though the config says otherwise, and what the config changes: a phrase for each."""
    saved, own = schedules_together(saved, own)
    decided, followed = [], []
    for key in dict.fromkeys([*saved, *own]):
        there, here = saved.get(key), own.get(key)
        if there == here or key.rpartition('.')[2] in OF_THE_MACHINE or there != there and here != here:
            continue
        phrase = f'{key} is {told(own, key)}, in the checkpoint {told(saved, key)}'
        if within(key, DECIDED):
            decided.append(phrase)
        elif within(key, FOLLOWED):
            followed.append(phrase)
    return decided, followed


def schedules_together(*sides: Flat) -> list[Flat]:
    """Where one side has more schedules than the other, they are told by their types alone."""
    types = [[value for key, value in side.items() if key.startswith('param_scheduler.') and key.endswith('.type')]
             for side in sides]
    if len({len(kinds) for kinds in types}) == 1:
        return list(sides)
    return [{**{key: value for key, value in side.items() if not within(key, ('param_scheduler', ))},
             'param_scheduler': kinds} for side, kinds in zip(sides, types)]


def told(flat: Flat, key: str) -> str:
    return ' '.join(repr(flat[key]).split())[:60] if key in flat else 'not there'


def within(key: str, places: tuple[str, ...]) -> bool:
    return any(key == place or key.startswith(place + '.') for place in places)


def tell_changes(config: Config, meta: dict, state: dict | None, path: str | Path, anyway: bool) -> None:
    """Compares a config with a checkpoint's, and takes the checkpoint's seed where the config has none.

    Args:
        config: of the training that is to go on; changed in place.
        meta: of the checkpoint.
        state: of ``state.read_state``.
        path: of the checkpoint.
        anyway: only warn of what a resumed training would not follow.

    Raises:
        UserError: something has changed that a resumed training would not follow, and ``anyway`` is False.
    """
    try:
        decided, followed = differences(settings(parse_config(meta['cfg'])), settings(parse_config(config.pretty_text)))
    except (KeyError, TypeError, ValueError):
        print_log(f'{path}: holds no config that can be compared with this one', 'current')
        decided, followed = [], []
    config.setdefault('randomness', dict(seed=None))
    seed, own = meta.get('seed'), config.randomness.get('seed')
    if own is None:
        config.randomness.seed = seed
    elif seed is not None and own != seed:
        decided.append(f'the seed is {own}, in the checkpoint {seed}')
    processes = int(os.environ['WORLD_SIZE']) if config.get('launcher', 'none') != 'none' else 1
    if state and state['processes'] != processes:
        decided.append(f'the number of processes is {processes}, in the checkpoint {state["processes"]}')
    if followed:
        print_log(f'changed since {path}, and followed from here on: {shorten(followed, 6)}', 'current')
    refuse(decided, path, anyway)


def tell_changed_data(state: dict | None, samples: int, batches: int, path: str | Path, anyway: bool) -> None:
    """``tell_changes`` for the training set, when it is there."""
    if state is None or (samples, batches) == (state['samples'], state['batches']):
        return
    refuse([f'the training set has {samples} samples in {batches} batches, in the checkpoint {state["samples"]} in '
            f'{state["batches"]}'], path, anyway)


def refuse(decided: list[str], path: str | Path, anyway: bool) -> None:
    if decided and anyway:
        print_log(f'{path}: goes on all the same, with what the checkpoint holds of: {shorten(decided, 8)}', 'current',
                  30)
    elif decided:
        raise UserError(f'{path}: is of a training with other settings, which going on from it would not follow: '
                        f'{shorten(decided, 8)}; give the same settings, or --resume-anyway to go on with what the '
                        'checkpoint holds, or --cfg-options load_from=FILE in place of --resume to start anew from its '
                        'weights')


def finished(config: Config, meta: dict, state: dict | None) -> str | None:
    """Why there is nothing left to train after a checkpoint; None where there is.

    Args:
        config: of the training.
        meta: of the checkpoint.
        state: likewise.
    """
    loop = config.get('train_cfg') or {}
    if state and state['stopped']:
        return f'early stopping ended this training after epoch {meta["epoch"]}, iteration {meta["iter"]}'
    if not is_resumable(config):
        return None
    kind = 'epoch' if loop['type'].endswith('EpochBasedTrainLoop') else 'iter'
    end = loop.get(f'max_{kind}s')
    done = meta[kind]
    if not isinstance(end, int) or done < end:
        return None
    validates = bool(config.get('val_cfg')) and end >= loop.get('val_begin', 1)
    if done == end and state and validates and not state['validated']:
        return None  # the last validation was cut
    return f'this training is finished: {done} of {end} {"epochs" if kind == "epoch" else "iterations"} are done'
