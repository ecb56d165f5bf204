"""What benchmarks that train share: running a command of tools/, and reading the losses of a run."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path

from mmext.engine.log import read_scalars
from mmext.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
EVERY_BATCH = 'default_hooks.logger.interval=1'  # an option with which the log has every batch


def call(tool: str, *arguments: object, launcher: Sequence[str] = (), env: Mapping[str, str] | None = None) -> None:
    """Runs a command of tools/. UserError, with its last line, where it fails.

    Args:
        tool: its file.
        arguments: of the command.
        launcher: what Python runs it by, such as -m torch.distributed.run and the number of processes.
        env: variables to set.
    """
    command = [sys.executable, *launcher, ROOT / 'tools' / tool, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, **(env or {})})
    if done.returncode:
        raise UserError(f'{tool} {" ".join(map(str, arguments))}: {done.stderr.strip().splitlines()[-1]}')


def losses_of_epochs(folder: Path) -> list[float]:
    """The mean training loss of each epoch of a run that has logged every batch."""
    records = [record for record in read_scalars(folder) if record['mode'] == 'train']
    return [statistics.fmean(record['loss'] for record in epoch)
            for _, epoch in groupby(records, lambda record: record['epoch'])]
