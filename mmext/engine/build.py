"""Builds the components that a config describes, and reports mistakes in the config in one line."""

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
from mmext.engine.summary import BriefRunner
from mmext.errors import UserError, reason
from mmext.task import task_of

MISTAKES = (TypeError, ValueError, LookupError, AssertionError, AttributeError, ArithmeticError, RuntimeError,
            FileNotFoundError, ImportError)


def build_runner(config: Config) -> Runner:
    """Builds mmengine's runner from a config, with model, hooks and visualizer.

    Raises:
        UserError: a component can't be built from its config, or mmcv has no operators for the model on this GPU.
    """
    with explained_build_errors(config):
        runner = BriefRunner.from_cfg(config)
    task_of(config).require_operators(next(runner.model.parameters(), torch.empty(0)).device)
    return runner


def build_training(runner: Runner) -> None:
    """Builds what ``Runner.train`` would build: loops, data sets and optimiser. Also test-builds the schedulers.

    Raises:
        UserError: a component can't be built from its config.
    """
    with explained_build_errors(runner.cfg):
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
    """Builds the test loop and its data set. Raises a UserError if they can't be built from their config."""
    with explained_build_errors(runner.cfg):
        runner.test_loop  # noqa: B018


def try_schedulers(runner: Runner) -> None:
    """Builds the schedulers for a dummy optimiser; the learning rate of the real one must be scaled before."""
    own = runner.optim_wrapper
    if not runner.param_schedulers or isinstance(own, OptimWrapperDict):
        return
    runner.optim_wrapper = OptimWrapper(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1, momentum=0.9))
    try:
        runner.build_param_scheduler(copy.deepcopy(runner.param_schedulers))
    finally:
        runner.optim_wrapper = own


@contextlib.contextmanager
def explained_build_errors(config: Config) -> Iterator[None]:
    """Converts exceptions that libraries raise for unusable values into a UserError that names the component's key."""
    try:
        yield
    except torch.cuda.OutOfMemoryError:
        raise
    except MISTAKES as error:
        kind = (re.findall(r'class `(\w+)` in ', str(error)) or [''])[-1]
        place = next((place for place in places_of(config._cfg_dict, kind)), '') if kind else ''
        text = re.sub(r'class `\w+` in \S+: ', '', reason(error))
        what = f'{place}: {kind} cannot be built' if place else f'{kind or "the config"}: cannot be built'
        raise UserError(f'{what}: {text}; set MMEXT_TRACEBACK=1 to see the traceback') from error


def places_of(node: object, kind: str, place: str = '') -> Iterator[str]:
    """Yields the keys at which a config names a component."""
    if isinstance(node, (list, tuple)):
        for i, value in enumerate(node):
            yield from places_of(value, kind, f'{place}.{i}')
    if isinstance(node, dict):
        if str(node.get('type')).rpartition('.')[2] == kind:
            yield place
        for key, value in node.items():
            yield from places_of(value, kind, f'{place}.{key}'.lstrip('.'))
