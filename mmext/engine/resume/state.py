"""What a checkpoint holds, beside what mmengine puts there, so that a training goes on from it exactly."""

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
from mmext.engine.resume.generators import generator_states, restore_generators
from mmext.engine.wrapper import bare

KEY = 'resume'  # in a checkpoint's meta
STOPPING = ('wait_count', 'best_score')


def collect(runner: Runner, position: dict, generators: dict | None = None) -> dict:
    """What is to be kept of a training, gathered from all processes; all have to call it.

    Args:
        runner: of the training.
        position: of the loop, see ``require_state``.
        generators: the states to keep; those of now where it is None.
    """
    own = dict(generators=generators or generator_states())
    if get_world_size() > 1:
        own.update(buffers(runner), logs=recent_logs(runner) if get_rank() else {})
    loader = runner.train_dataloader
    return dict(position, processes=get_world_size(), samples=sample_count(loader.dataset), batches=len(loader),
                early_stopping=[{name: finite(getattr(hook, name)) for name in STOPPING} for hook in stopping(runner)],
                ranks=all_gather_object(own))


def finite(value: float) -> float | None:
    """None stands for the best score before the first one."""
    return None if isinstance(value, float) and np.isinf(value) else value


def stopping(runner: Runner) -> list[EarlyStoppingHook]:
    return [hook for hook in runner.hooks if isinstance(hook, EarlyStoppingHook)]


def buffers(runner: Runner) -> dict[str, dict[str, Tensor]]:
    """The statistics of batch norms and the like, which between two epochs are each process's own."""
    return {kind: {name: value.detach().cpu().clone() for name, value in model.named_buffers()}
            for kind, model in models_of(runner).items()}


def models_of(runner: Runner) -> dict[str, nn.Module]:
    """The model, and its averages, under the names that their buffers are kept by."""
    return dict(buffers=bare(runner.model),
                **{f'average{i}': hook.ema_model.module for i, hook in enumerate(averages(runner))})


def averages(runner: Runner) -> list[EMAHook]:
    return [hook for hook in runner.hooks if isinstance(hook, EMAHook)]


def recent_logs(runner: Runner) -> dict[str, list[Tensor]]:
    """The ends of this process's logs, as long as the means that are printed; the first one's are whole in the hub."""
    processor = runner.log_processor
    sizes = [custom.get('window_size') for custom in processor.custom_cfg]
    length = max([processor.window_size, *(size for size in sizes if isinstance(size, int))])
    if 'epoch' in sizes:
        length = max(length, getattr(runner.train_loop, 'batch', 0) + 1)
    return {name: [torch.from_numpy(np.array(part[-length:], dtype=float)) for part in log.data]
            for name, log in runner.message_hub.log_scalars.items()}


def restore(runner: Runner, state: dict, path: str) -> None:
    """Gives a runner what ``collect`` has kept, but for the generators.

    Raises:
        UserError: something in it is malformed.
    """
    for hook, kept in zip(stopping(runner), state['early_stopping']):
        for name in STOPPING:
            if kept[name] is not None:
                setattr(hook, name, kept[name])
    own, models = own_part(state), models_of(runner)
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


def own_part(state: dict) -> dict:
    """What was this process's; with other numbers of processes not all have one."""
    ranks = state['ranks']
    return ranks[get_rank()] if get_rank() < len(ranks) else {}


def restore_own_generators(state: dict, path: str) -> None:
    """Puts this process's generators into the states that were kept. UserError where they are malformed."""
    states = own_part(state).get('generators')
    if states is None:
        return
    try:
        restore_generators(states)
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError, IndexError, OverflowError) as error:
        raise malformed(path, f'meta.{KEY}.ranks.{get_rank()}.generators', error, 'their states') from None


def read_state(meta: dict, path: str | Path) -> dict | None:
    """A checkpoint's state of ``collect``; None where it has none.

    Its position is the ``batch`` to go on from in a ``pass`` over the data, the ``order`` of the loader
    (``order.Order.state``), whether the validation that is due there was ``validated``, and whether early stopping has
    ``stopped`` the training.

    Raises:
        UserError: it is malformed.
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
