"""What a run is, in a few lines on the screen; the environment and the whole config are in its log file."""

from __future__ import annotations

import logging
import os
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import get_world_size
from mmengine.logging import MMLogger
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

from mmext.config_tree import kind_of
from mmext.engine.agreement import leaves, place_of, sample_count
from mmext.engine.wrapper import unwrap_model


class BriefRunner(Runner):
    """mmengine's runner, which writes its long texts to the log file alone: environment, config, order of the hooks.

    It leaves the config in the work dir to ``kept_config.keep_config``.
    """

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        logger = super().build_logger(*args, **kwargs)
        for handler in logger.handlers:
            if not isinstance(handler, logging.FileHandler):
                handler.addFilter(is_for_the_screen)
        return logger

    def dump_config(self) -> None:
        """Writes nothing."""


def is_for_the_screen(record: logging.LogRecord) -> bool:
    """Whether a record is anything but a text of several lines by the runner itself; tables of metrics are others'."""
    return not record.pathname.endswith(os.path.join('mmengine', 'runner', 'runner.py')) or (
        '\n' not in record.getMessage())


def log_summary(runner: Runner) -> None:
    """Logs what a built training is: model, device, data, schedule and where it writes."""
    for line in summary_lines(runner):
        runner.logger.info(line)


def summary_lines(runner: Runner) -> list[str]:
    """The lines of ``log_summary``."""
    config: Config = runner.cfg
    model = described(config, unwrap_model(runner.model))
    lines = [f'config: {config.filename}', f'model: {model}', f'device: {device()}',
             f'training data: {data(runner.train_dataloader)}']
    if runner._val_loop is not None:
        lines.append(f'validation data: {data(runner.val_dataloader)}')
    lines.append(f'schedule: {schedule(runner)}')
    lines += scaled_schedule(config)
    lines.append(f'work dir: {runner.work_dir}')
    log = os.path.join(runner._log_dir, f'{runner.timestamp}.log')
    lines.append(f'log: {log}, with the environment and the whole config')
    return lines


def described(config: Config, model: nn.Module) -> str:
    """The kind of a model and of its backbone, and its parameters in millions."""
    backbone = config.model.get('backbone') or {}
    depth = f' of depth {backbone["depth"]}' if 'depth' in backbone else ''
    inside = f', {kind_of(backbone)}{depth}' if backbone else ''
    count = sum(parameter.numel() for parameter in model.parameters())
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    frozen = f', {trained / 1e6:.2f} M of them trained' if trained < count else ''
    return f'{kind_of(config.model)}{inside}, {count / 1e6:.2f} M parameters{frozen}'


def counted(number: int, thing: str) -> str:
    """'1 batch', '2 batches'"""
    return f'{number} {thing}' + ('' if number == 1 else 'es' if thing.endswith('tch') else 's')


def device() -> str:
    """The device and the number of processes."""
    processes = get_world_size()
    several = f'{processes} processes, each on ' if processes > 1 else ''
    if torch.cuda.is_available():
        return f'{several}{torch.cuda.get_device_name()}, torch {torch.__version__}'
    return f'{several}the processor with {counted(torch.get_num_threads(), "thread")}, torch {torch.__version__}'


def data(loader: DataLoader) -> str:
    """How many samples and batches a loader has, and where they come from."""
    places = ', '.join(dict.fromkeys(place_of(dataset) for dataset in leaves(loader.dataset)))
    return (f'{counted(sample_count(loader.dataset), "sample")} in {counted(len(loader), "batch")}, '
            f'{counted(loader.num_workers, "worker")}, {places}')


def schedule(runner: Runner) -> str:
    """How long a training is, with which optimizer and precision."""
    config = runner.cfg
    epochs, iterations = config.train_cfg.get('max_epochs'), config.train_cfg.get('max_iters')
    length = counted(epochs, 'epoch') if epochs else counted(iterations, 'iteration')
    optimizer = (config.optim_wrapper.get('optimizer') or {})
    rate = f', lr {optimizer["lr"]:g}' if 'lr' in optimizer else ''
    precision = {'AmpOptimWrapper': f', {config.optim_wrapper.get("dtype") or "float16"}',
                 'ProcessorAmpOptimWrapper': ', bfloat16'}.get(kind_of(config.optim_wrapper), '')
    seed = f', seed {runner.seed}'
    return f'{length}, {kind_of(optimizer) or "its own optimizer"}{rate}{precision}{seed}'


def scaled_schedule(config: Config) -> list[str]:
    """What ``--epochs`` has changed, in a line; no line without the flag."""
    scaled = config.get('epochs')
    if not isinstance(scaled, dict) or scaled.get('given') != config.train_cfg.get('max_epochs'):
        return []
    changed = ', '.join(scaled['changed']) or 'nothing else to scale'
    return [f'schedule scaled from {counted(scaled["recipe"], "epoch")} to {scaled["given"]}: {changed}']
