"""Differences between the config saved in a checkpoint and the config of the training that resumes from it."""

from __future__ import annotations

import ast
import logging
import math
import os
from collections.abc import Iterator
from pathlib import Path

from mmengine.config import Config
from mmengine.logging import print_log

from mmext.engine.resume.loops import is_resumable
from mmext.errors import UserError, shorten

# Settings that the restored optimiser, schedulers, generators or data position determine; the config has no effect.
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
    """Parses the text that mmengine writes for a config, without executing it.

    An expression that is neither a literal nor ``dict(...)`` is kept as text.

    Raises:
        ValueError: the text is not valid Python.
    """
    try:
        statements = ast.parse(text).body
        return {statement.targets[0].id: literal(statement.value) for statement in statements
                if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)}
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError(str(error)) from None


def literal(node: ast.expr) -> object:
    """The value of an expression; its source text if it is not a literal or ``dict(...)``."""
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
    """Yields (dotted key, value) of each leaf of a tree; an empty dict or list is a leaf."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    if not items or not node:
        yield place, node
    for key, value in items:
        yield from leaves(value, f'{place}.{key}' if place else str(key))


def settings(config: dict) -> Flat:
    """The settings of a config that matter for resuming, in a normalised form."""
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
    """Describes changed settings: those that the checkpoint overrides, and those that the resumed training follows."""
    saved, own = summarized_schedules(saved, own)
    decided, followed = [], []
    for key in dict.fromkeys([*saved, *own]):
        there, here = saved.get(key), own.get(key)
        if there == here or key.rpartition('.')[2] in OF_THE_MACHINE or there != there and here != here:
            continue
        phrase = f'{key} is {describe_setting(own, key)}, in the checkpoint {describe_setting(saved, key)}'
        if within(key, DECIDED):
            decided.append(phrase)
        elif within(key, FOLLOWED):
            followed.append(phrase)
    return decided, followed


def summarized_schedules(*sides: Flat) -> list[Flat]:
    """Reduces parameter schedulers to their types where the two configs have different numbers of them."""
    types = [[value for key, value in side.items() if key.startswith('param_scheduler.') and key.endswith('.type')]
             for side in sides]
    if len({len(kinds) for kinds in types}) == 1:
        return list(sides)
    return [{**{key: value for key, value in side.items() if not within(key, ('param_scheduler', ))},
             'param_scheduler': kinds} for side, kinds in zip(sides, types)]


def describe_setting(flat: Flat, key: str) -> str:
    """The value of a setting as text of at most 60 characters."""
    return ' '.join(repr(flat[key]).split())[:60] if key in flat else 'not set'


def within(key: str, places: tuple[str, ...]) -> bool:
    """Whether a dotted key equals one of ``places`` or is below it."""
    return any(key == place or key.startswith(place + '.') for place in places)


def check_changed_config(config: Config, meta: dict, state: dict | None, path: str | Path, anyway: bool) -> None:
    """Compares a config with the one in a checkpoint, and adopts the checkpoint's seed if the config has none.

    Args:
        config: the config of the training that resumes; changed in place.
        meta: the ``meta`` of the checkpoint.
        state: what ``state.read_state`` returned.
        path: the checkpoint's path.
        anyway: only warn about changes that a resumed training would ignore.

    Raises:
        UserError: a setting has changed that a resumed training would ignore, and ``anyway`` is False.
    """
    try:
        decided, followed = differences(settings(parse_config(meta['cfg'])), settings(parse_config(config.pretty_text)))
    except (KeyError, TypeError, ValueError):
        print_log(f'{path}: contains no config to compare with this one', 'current')
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
        print_log(f'changed since {path}, and in effect from here on: {shorten(followed, 6)}', 'current')
    report_changes(decided, path, anyway)


def check_changed_data(state: dict | None, samples: int, batches: int, path: str | Path, anyway: bool) -> None:
    """Compares the size of the training set with that in a checkpoint; see ``check_changed_config``."""
    if state is None or (samples, batches) == (state['samples'], state['batches']):
        return
    report_changes([f'the training set has {samples} samples in {batches} batches, in the checkpoint '
                    f'{state["samples"]} in {state["batches"]}'], path, anyway)


def report_changes(decided: list[str], path: str | Path, anyway: bool) -> None:
    """Raises a UserError that lists ignored changes, if there are any; only warns of them if ``anyway``."""
    if decided and anyway:
        print_log(f'{path}: resuming anyway, with the values of the checkpoint for: {shorten(decided, 8)}', 'current',
                  logging.WARNING)
    elif decided:
        raise UserError(f'{path}: was written with other settings, and resuming from it would ignore the changes: '
                        f'{shorten(decided, 8)}; give the same settings, or --resume-anyway to resume with the '
                        'values of the checkpoint, or --cfg-options load_from=FILE instead of --resume to start a new '
                        'training from its weights')


def finished(config: Config, meta: dict, state: dict | None) -> str | None:
    """Why no training is left to do after a checkpoint; None if there is.

    Args:
        config: the config of the training.
        meta: the ``meta`` of the checkpoint.
        state: what ``state.read_state`` returned.
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
        return None  # the last validation was stopped
    return f'this training is finished: {done} of {end} {"epochs" if kind == "epoch" else "iterations"} are done'
