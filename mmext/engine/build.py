"""Building of what a config describes, before the first step, with a mistake in it told in one line."""

from __future__ import annotations

import contextlib
import copy
import re
from collections.abc import Iterator

import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner

from mmext.engine.optimizer_checks import optim_wrappers, require_numbers, require_usable_groups
from mmext.errors import UserError, reason

MISTAKES = (TypeError, ValueError, LookupError, AssertionError, AttributeError, ArithmeticError, RuntimeError,
            FileNotFoundError, ImportError)


def build_runner(config: Config) -> Runner:
    """mmengine's runner of a config, with model, hooks and visualizer.

    Raises:
        UserError: something of them can't be built as the config describes it.
    """
    with telling_mistakes(config):
        return Runner.from_cfg(config)


def build_training(runner: Runner) -> None:
    """Builds what ``Runner.train`` would: loops with their data, optimiser; and tries the schedulers.

    Raises:
        UserError: something of them can't be built as the config describes it.
    """
    with telling_mistakes(runner.cfg):
        runner.train_loop  # noqa: B018  builds it
        config = runner.optim_wrapper
        assert config is not None  # Runner refuses to train without one
        require_numbers(config)
        runner.optim_wrapper = runner.build_optim_wrapper(config)
        for wrapper in optim_wrappers(runner):
            require_usable_groups(wrapper.optimizer)
        try_schedulers(runner)
        if runner.cfg.get('val_cfg'):
            runner.val_loop  # noqa: B018


def build_testing(runner: Runner) -> None:
    """Builds the loop of a test and its data. UserError where they can't be built as the config describes them."""
    with telling_mistakes(runner.cfg):
        runner.test_loop  # noqa: B018


def try_schedulers(runner: Runner) -> None:
    """Builds the schedulers once for another optimiser: their own must be scaled first, which ``Runner.train`` does."""
    own = runner.optim_wrapper
    if not runner.param_schedulers or isinstance(own, OptimWrapperDict):
        return
    runner.optim_wrapper = OptimWrapper(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1, momentum=0.9))
    try:
        runner.build_param_scheduler(copy.deepcopy(runner.param_schedulers))
    finally:
        runner.optim_wrapper = own


@contextlib.contextmanager
def telling_mistakes(config: Config) -> Iterator[None]:
    """Turns what a library raises for a value that it can't use into a UserError with the component's place."""
    try:
        yield
    except torch.cuda.OutOfMemoryError:
        raise
    except MISTAKES as error:
        kind = (re.findall(r'class `(\w+)` in ', str(error)) or [''])[-1]
        place = next((place for place in places_of(config._cfg_dict, kind)), '') if kind else ''
        text = re.sub(r'class `\w+` in \S+: ', '', reason(error))
        what = f'{place}: {kind} can not be built' if place else f'{kind or "the config"}: can not be built'
        raise UserError(f'{what}: {text}; MMEXT_TRACEBACK=1 shows where it stopped') from error


def places_of(node: object, kind: str, place: str = '') -> Iterator[str]:
    """Where a config names a component."""
    if isinstance(node, (list, tuple)):
        for i, value in enumerate(node):
            yield from places_of(value, kind, f'{place}.{i}')
    if isinstance(node, dict):
        if str(node.get('type')).rpartition('.')[2] == kind:
            yield place
        for key, value in node.items():
            yield from places_of(value, kind, f'{place}.{key}'.lstrip('.'))
