"""Evaluating one model many times, each time with something changed in it, on the same samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.runner import Runner, autocast
from torch import nn
from torch.utils._pytree import tree_leaves
from torch.utils.data import DataLoader, Subset

from mmext.data.once import forget
from mmext.engine.hooks.progress import ProgressHook
from mmext.engine.run import prepare_test
from mmext.engine.wrapper import unwrap_model
from mmext.errors import UserError
from mmext.files import disk_full_told
from mmext.task import task_of

KEPT_BYTES = 2 * 2**30  # of samples in memory; more are read anew for each evaluation
SUBSET_SEED = 0


class RepeatedTest:
    """The test of a config, which can be repeated; the samples are read once, if they fit into memory.

    Args:
        runner: of ``prepare_test``.
        indices: of the samples to evaluate.

    Attributes:
        model: without a data parallel wrapper; it may be changed between two evaluations.
        samples: how many are evaluated, and ``of`` how many.
    """

    def __init__(self, runner: Runner, indices: Sequence[int]) -> None:
        self.runner = runner
        self.model: nn.Module = unwrap_model(runner.model)
        loader: Any = runner.test_dataloader
        self.of, self.samples = len(loader.dataset), len(indices)
        self.batches: list | DataLoader = DataLoader(
            Subset(loader.dataset, indices), loader.batch_size, num_workers=loader.num_workers,
            collate_fn=loader.collate_fn)

    def __call__(self) -> dict[str, float]:
        """Evaluates the model as it is now. Returns the metrics by name."""
        loop: Any = self.runner.test_loop
        read, size = [], 0
        with torch.no_grad(), autocast(enabled=loop.fp16):
            for batch in self.batches:
                if size <= KEPT_BYTES:
                    read.append(batch)
                    size += sum(leaf.nbytes for leaf in tree_leaves(batch) if isinstance(leaf, torch.Tensor))
                outputs = self.model.test_step(batch)  # pyright: ignore[reportCallIssue]  of mmengine's models
                loop.evaluator.process(data_samples=outputs, data_batch=batch)
        if size <= KEPT_BYTES:
            self.batches = read
        return loop.evaluator.evaluate(self.samples)


@contextmanager
def repeated_test(config: Config, checkpoint: str, limit: int | None = None) -> Iterator[RepeatedTest]:
    """Prepares the test of a checkpoint, for a config that ``run.set_up`` has prepared.

    Args:
        config: the whole config.
        checkpoint: a file with exactly the weights of the model.
        limit: evaluate only this many samples, chosen at random but the same in every run; None for all.

    Raises:
        UserError: the checkpoint does not fit the model, the data can't be used, or the metric is not one of a part of
            the samples.
    """
    if limit and not task_of(config).averages_samples:
        raise UserError(f'--limit {limit}: the metrics of this task are not means over samples, so all are needed; '
                        'give --limit 0')
    with disk_full_told(config.work_dir):
        runner = prepare_test(config, checkpoint)
        forget()
        count = len(runner.test_dataloader.dataset)  # pyright: ignore[reportArgumentType]  it is a data set with a length
        chosen = np.arange(count)
        if limit and limit < count:
            chosen = np.sort(np.random.default_rng(SUBSET_SEED).choice(count, limit, replace=False))
        runner._hooks = [hook for hook in runner.hooks if not isinstance(hook, ProgressHook)]  # it counts one pass
        runner.call_hook('before_run')
        runner.load_or_resume()
        runner.call_hook('before_test')
        runner.call_hook('before_test_epoch')
        runner.model.eval()
        yield RepeatedTest(runner, chosen.tolist())
