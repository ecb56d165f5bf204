"""The state that a checkpoint holds in addition to mmengine's, so that a training can be resumed exactly."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import torch
from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.hooks import EarlyStoppingHook, EMAHook
from mmengine.logging import HistoryBuffer
from mmengine.runner import Runner
from torch import Tensor, nn

from mmext.checkpoints.resume import malformed
from mmext.engine.agreement import sample_count
from mmext.engine.log_windows import longest_window
from mmext.engine.resume.generators import generator_states, restore_generators
from mmext.engine.runtime_info import record_losses
from mmext.engine.wrapper import unwrap_model

KEY = 'resume'  # in a checkpoint's meta
STOPPING = ('wait_count', 'best_score')


def collect_state(runner: Runner, position: dict, generators: dict | None = None) -> dict:
    """Collects the state of a training from all processes, all of which must call this.

    Args:
        runner: the runner of the training.
        position: the position of the loop, see ``read_state``.
        generators: the generator states to save; None for the current ones.
    """
    record_losses(runner)
    own = dict(generators=generators or generator_states())
    if get_world_size() > 1:
        own.update(buffers(runner), logs=recent_logs(runner) if get_rank() else {})
    loader = runner.train_dataloader
    return dict(position, processes=get_world_size(), samples=sample_count(loader.dataset), batches=len(loader),
                early_stopping=[{name: finite(getattr(hook, name)) for name in STOPPING}
                                for hook in early_stopping_hooks(runner)],
                ranks=all_gather_object(own))


def finite(value: float) -> float | None:
    """Replaces an infinite value, the best score before the first validation, by None."""
    return None if isinstance(value, float) and np.isinf(value) else value


def early_stopping_hooks(runner: Runner) -> list[EarlyStoppingHook]:
    """The early stopping hooks of a runner."""
    return [hook for hook in runner.hooks if isinstance(hook, EarlyStoppingHook)]


def buffers(runner: Runner) -> dict[str, dict[str, Tensor]]:
    """Copies of the buffers, such as batch norm statistics, which differ between processes within an epoch."""
    return {kind: {name: value.detach().cpu().clone() for name, value in model.named_buffers()}
            for kind, model in models_of(runner).items()}


def models_of(runner: Runner) -> dict[str, nn.Module]:
    """The model and its weight averages, by the names under which their buffers are saved."""
    return dict(buffers=unwrap_model(runner.model),
                **{f'average{i}': hook.ema_model.module for i, hook in enumerate(ema_hooks(runner))})


def ema_hooks(runner: Runner) -> list[EMAHook]:
    """The hooks of a runner that average the weights."""
    return [hook for hook in runner.hooks if isinstance(hook, EMAHook)]


def recent_logs(runner: Runner) -> dict[str, list[Tensor]]:
    """The last values of this process's logs, as many as the logged means need.

    The complete logs of the first process are in the message hub, which mmengine saves.
    """
    length = longest_window(runner.log_processor, getattr(runner.train_loop, 'batch', 0) + 1)
    return {name: [torch.from_numpy(np.array(part[-length:], dtype=float)) for part in log.data]
            for name, log in runner.message_hub.log_scalars.items()}


def restore_state(runner: Runner, state: dict, path: str) -> None:
    """Restores what ``collect_state`` saved into a runner, except for the random generators.

    Raises:
        UserError: the state is malformed.
    """
    for hook, kept in zip(early_stopping_hooks(runner), state['early_stopping']):
        for name in STOPPING:
            if kept[name] is not None:
                setattr(hook, name, kept[name])
    own, models = state_of_this_process(state), models_of(runner)
    try:
        for kind, model in models.items():
            present = dict(model.named_buffers())
            for name, value in own.get(kind, {}).items():
                present[name].copy_(value)
        for name, (values, counts) in own.get('logs', {}).items():
            log = runner.message_hub.log_scalars.get(name)
            if log is not None:
                rest = [part[:len(part) - len(values)] for part in log.data]
                runner.message_hub.log_scalars[name] = HistoryBuffer(
                    cast(list, np.concatenate([rest[0], values.numpy()])),
                    cast(list, np.concatenate([rest[1], counts.numpy()])), log.max_length)
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise malformed(path, f'meta.{KEY}.ranks', error, 'the state of every process') from None


def state_of_this_process(state: dict) -> dict:
    """The part of the state that this process saved; empty if the saved training had fewer processes."""
    ranks = state['ranks']
    return ranks[get_rank()] if get_rank() < len(ranks) else {}


def restore_own_generators(state: dict, path: str) -> None:
    """Restores the random generators of this process. Raises a UserError if their saved states are malformed."""
    states = state_of_this_process(state).get('generators')
    if states is None:
        return
    try:
        restore_generators(states)
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError, IndexError, OverflowError) as error:
        raise malformed(path, f'meta.{KEY}.ranks.{get_rank()}.generators', error, 'their states') from None


def read_state(meta: dict, path: str | Path) -> dict | None:
    """Reads and checks the state that ``collect_state`` put into a checkpoint; None if there is none.

    Its position consists of ``pass``, the number of the pass over the data; ``batch``, the next batch of that pass;
    ``order``, the state of the loader's samplers (``order.Order.state``); ``validated``, whether the validation due at
    this position is done; and ``stopped``, whether early stopping has ended the training.

    Args:
        meta: the ``meta`` of the checkpoint.
        path: the checkpoint's path, for messages.

    Raises:
        UserError: the state is malformed.
    """
    state = meta.get(KEY)
    if state is None:
        return None
    if not isinstance(state, dict):
        raise malformed(path, f'meta.{KEY}', state, 'a dict')
    kinds = {'pass': int, 'batch': int, 'order': (dict, type(None)), 'validated': bool, 'stopped': bool,
             'processes': int, 'samples': int, 'batches': int, 'early_stopping': list, 'ranks': list}
    for key, kind in kinds.items():
        value = state.get(key)
        if not isinstance(value, kind) or kind is int and type(value) is bool or type(value) is int and value < 0:
            raise malformed(path, f'meta.{KEY}.{key}', value, kind.__name__ if isinstance(kind, type) else 'a dict')
    order = state['order']
    if order is not None and not (isinstance(order.get('drawn'), int) and isinstance(order.get('waiting'), list)
                                  and len(order['waiting']) == 2
                                  and all(isinstance(part, list) and all(isinstance(i, int) for i in part)
                                          for part in order['waiting'])):
        raise malformed(path, f'meta.{KEY}.order', order, 'a place in the order of the images')
    if not all(isinstance(part, dict) for part in state['ranks']):
        raise malformed(path, f'meta.{KEY}.ranks', state['ranks'], 'a list of dicts')
    if not all(isinstance(part, dict) and {*STOPPING} <= {*part} for part in state['early_stopping']):
        raise malformed(path, f'meta.{KEY}.early_stopping', state['early_stopping'], 'a list of dicts')
    return state
