"""The process that runs cases, one after the other, and sends what each has found."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection

from benchmarks.gpu_check.case import Case, Place, Skipped, Unfinished, one_line

UNUSABLE = ('CUDA error', 'CUDNN_STATUS_EXECUTION_FAILED', 'an illegal memory access', 'device-side assert')


def work(place: Place, keys: Sequence[str], log: str, connection: Connection) -> None:
    """Runs cases and sends a dict for each as it starts, ``dict(key)``, and as it ends, with its ``status``.

    Args:
        place: of the check.
        keys: of the cases, in order.
        log: the file that all output is added to.
        connection: where the dicts go.
    """
    os.setsid()  # so that the check can end this process with all that it has started
    with open(log, 'a', buffering=1) as file:
        for number in (1, 2):
            os.dup2(file.fileno(), number)
    prepare(place)
    from benchmarks.gpu_check.cases import CASES

    cases = {case.key: case for case in CASES}
    connection.send(dict(machine=describe(place)))
    for key in keys:
        connection.send(dict(key=key))
        found = outcome(cases[key], place)
        connection.send(dict(found, key=key))
        if found['status'] == 'failed' and any(sign in found['error'] for sign in UNUSABLE):
            return  # the check starts another process


def prepare(place: Place) -> None:
    """Imports mmext first, and sets what must be set before a device is used."""
    if place.device == 'cpu':
        os.environ['CUDA_VISIBLE_DEVICES'] = ''
    from mmengine.logging import MMLogger

    import mmext  # noqa: F401  repairs the stack before the libraries of the tasks are imported

    MMLogger.get_current_instance().setLevel('WARNING')  # otherwise the initialisation of every weight is logged


def outcome(case: Case, place: Place) -> dict:
    """Runs a case: its status, seconds, and figures or error."""
    import torch

    began = time.monotonic()
    print(f'== {case.key}', flush=True)
    try:
        found: dict = dict(status='passed', figures=dict(case.run(place)))
    except (Skipped, Unfinished) as told:
        found = dict(status=type(told).__name__.lower(), error=one_line(told))
    except Exception as error:  # whatever goes wrong in a case is its result
        found = dict(status='failed', error=one_line(error))
        if not str(error):
            found['error'] = type(error).__name__
    print(found, flush=True)
    if place.device == 'cuda' and found['status'] == 'passed':
        torch.cuda.empty_cache()
    return dict(found, seconds=round(time.monotonic() - began, 1))


def describe(place: Place) -> dict:
    """Hardware, driver and versions."""
    from benchmarks.gpu_check.machine import describe
    return describe(place.device)
