"""What is timed: one inference, and one training step in its parts."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import cast

import torch
from mmengine.model import BaseModel
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope

from mmext.analysis.subjects import Subject
from mmext.benchmark.setup import DTYPES, Setup, out_of_memory
from mmext.benchmark.timing import Stopwatch
from mmext.engine.hooks.precision import prepare_for_mixed_precision
from mmext.errors import UserError

PARTS = ('forward', 'backward', 'optimiser')
RATE = 1e-6  # near zero: gradients of a memorised batch become so small that processors slow down
SETTLING = 30  # steps after which the loss scale of fp16 must be low enough


def network(subject: Subject, setup: Setup) -> BaseModel:
    """A model for inference: in eval mode, with weights in the number format of the setup."""
    model = subject.new_model().eval()
    model.to(DTYPES[setup.dtype])
    setup.place(model)
    return setup.compiled(model.requires_grad_(False))


class Inference:
    """Inference on one batch: a call computes the output of the network, or predictions if the setup says so.

    Args:
        subject: the model that is measured.
        model: of ``network``.
        setup: how it is run.
        batch: number of samples; they are synthetic, and are normalised and arranged here, once.
    """

    def __init__(self, subject: Subject, model: BaseModel, setup: Setup, batch: int) -> None:
        self.model = model
        self.setup = setup
        data = model.data_preprocessor(subject.batch(batch), False)
        self.inputs = setup.arrange(data['inputs'].to(DTYPES[setup.dtype]))
        self.targets = data.get('data_samples', data.get('labels'))
        self.arguments = dict(mode='predict') if setup.predict else dict(mode='tensor', **subject.task.head_arguments)

    def __call__(self) -> object:
        with torch.inference_mode(), self.setup.autocast():
            return self.model(self.inputs, self.targets, **self.arguments)


class TrainingStep:
    """A training step: a call does what mmengine's train_step does, and marks a stopwatch after each part.

    'forward' includes the data preprocessor (copy to a GPU, normalisation), the network and the loss. The optimiser is
    that of the config, with gradient clipping, at a learning rate near zero. Every step updates the weights.

    Args:
        subject: the model that is measured.
        setup: how it is run.
    """

    def __init__(self, subject: Subject, setup: Setup) -> None:
        self.name = subject.name
        self.setup = setup
        model = setup.place(subject.new_model()).train()
        if setup.half:
            prepare_for_mixed_precision(model)
        self.model = setup.compiled(model, training=True)
        assert subject.config is not None
        config = copy.deepcopy(subject.config.optim_wrapper)
        for key in ('type', 'dtype', 'loss_scale', 'use_fsdp', 'accumulative_counts'):
            config.pop(key, None)
        scaled = dict(type='AmpOptimWrapper', dtype='float16') if setup.dtype == 'fp16' else dict(type='OptimWrapper')
        with DefaultScope.overwrite_default_scope(subject.scope):
            self.optimizer = build_optim_wrapper(self.model, dict(config, **scaled))
        for group in self.optimizer.param_groups:
            group['lr'] = RATE

    def __call__(self, batch: dict, stopwatch: Stopwatch) -> None:
        """One step.

        Args:
            batch: a batch of a loader.
            stopwatch: is marked before the step and after each of ``PARTS``.
        """
        stopwatch.mark()
        with self.optimizer.optim_context(self.model), self.setup.autocast():
            data = self.model.data_preprocessor(batch, True)
            data['inputs'] = self.setup.arrange(data['inputs'])
            losses = self.losses(data)
        loss, _ = self.model.parse_losses(losses)
        stopwatch.mark()
        self.optimizer.backward(self.optimizer.scale_loss(loss))
        stopwatch.mark()
        self.optimizer.step()
        self.optimizer.zero_grad()
        stopwatch.mark()

    def losses(self, data: dict) -> dict:
        """The losses of a batch. UserError where batch norm does not train on a batch of one."""
        try:
            return cast(dict, self.model._run_forward(data, mode='loss'))
        except ValueError as error:
            if 'more than 1 value per channel' not in str(error):
                raise
            raise UserError(f'{self.name}: its batch norm of a 1 x 1 map does not train on one sample; give '
                            '--train-batch 2 or more') from None

    def laps(self, batch: dict) -> list[float]:
        """Seconds of each of ``PARTS`` in one step."""
        stopwatch = Stopwatch(self.setup.device)
        self(batch, stopwatch)
        return stopwatch.laps()

    def settle(self, batch: dict) -> None:
        """Repeats steps until one is not skipped; the loss scale of fp16 starts so high that the first ones are."""
        scaler = getattr(self.optimizer, 'loss_scaler', None)
        if scaler is None:
            return
        for _ in range(SETTLING):
            before = scaler.get_scale()
            self.laps(batch)
            if scaler.get_scale() >= before:
                return
        raise UserError(f'--dtype fp16: the gradients are not finite at any loss scale in {SETTLING} steps; use bf16')


def warmed(name: str, call: Callable[[], object], setup: Setup, times: int) -> bool:
    """Warms up a call before it is timed; returns False if it runs out of memory.

    Raises:
        UserError: ``torch.compile`` fails on it, or post-processing does not support the number format.
    """
    try:
        for _ in range(times):
            call()
        setup.synchronize()
    except UserError:
        raise
    except Exception as error:
        if out_of_memory(error):
            return False
        options = [f'--compile {setup.compile}'] if setup.compile else []
        options += [f'--predict with {setup.dtype}'] if setup.predict and setup.half else []
        if not options:
            raise
        raise UserError(f'{", ".join(options)}: {name}: {reason(error)}') from None
    return True


def reason(error: BaseException) -> str:
    """The type of an error and the first line of its text that is not empty."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return ': '.join([type(error).__name__, *lines[:1]])[:300]
