"""Trainings that are stopped at an iteration, and whether two checkpoints are of the same training."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from unittest import mock

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.optim import OptimWrapper

PARTS = ('state_dict', 'ema_state_dict', 'optimizer', 'param_schedulers')
OF_TIME = ('time', 'data_time')
OF_THE_RUN = ('cfg', 'experiment_name', 'last_ckpt', 'best_ckpt', 'eta', 'ckpts_on_the_way', 'keep_ckpt_ids')


@contextlib.contextmanager
def stopped_after(iterations: int, number: int = signal.SIGTERM) -> Iterator[None]:
    """Sends this process a signal while it trains: in the iteration of that number."""
    update, done = OptimWrapper.update_params, []

    def counted(wrapper: OptimWrapper, *args: object, **kwargs: object) -> None:
        done.append(None)
        if len(done) == iterations:
            os.kill(os.getpid(), number)
        update(wrapper, *args, **kwargs)

    with mock.patch.object(OptimWrapper, 'update_params', counted):
        yield


def differences(one: object, other: object, place: str = '') -> list[str]:
    """The places at which two trees differ in any bit."""
    if isinstance(one, dict) and isinstance(other, dict):
        odd = [f'{place}.{key}' for key in one.keys() ^ other.keys()]
        return odd + [found for key in one.keys() & other.keys()
                      for found in differences(one[key], other[key], f'{place}.{key}')]
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)) and len(one) == len(other):
        return [found for i, pair in enumerate(zip(one, other)) for found in differences(*pair, f'{place}.{i}')]
    if isinstance(one, HistoryBuffer):
        one, other = [[np.array(part).tolist() for part in log.data] for log in (one, other)]
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return [] if torch.equal(one, other) else [place]
    return [] if np.array_equal(one, other) else [place]


def told_apart(one: dict, other: dict) -> list[str]:
    """What differs between the checkpoints of two trainings, but for times and names."""
    hubs = [dict(log_scalars={key: value for key, value in checkpoint['message_hub']['log_scalars'].items()
                              if key.rpartition('/')[2] not in OF_TIME},
                 runtime_info={key: value for key, value in checkpoint['message_hub']['runtime_info'].items()
                               if key not in OF_THE_RUN}) for checkpoint in (one, other)]
    metas = [{key: checkpoint['meta'][key] for key in ('epoch', 'iter', 'seed', 'resume')}
             for checkpoint in (one, other)]
    for meta in metas:
        for part in meta['resume']['ranks']:
            part['logs'] = {key: value for key, value in part.get('logs', {}).items()
                            if key.rpartition('/')[2] not in OF_TIME}
    return differences(*metas, 'meta') + differences(*hubs, 'message_hub') + [
        found for part in PARTS for found in differences(one.get(part), other.get(part), part)]
