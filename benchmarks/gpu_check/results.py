"""Full CIFAR-10 recipes, in the order of what they tell for their time; each goes on where an earlier call ended."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from functools import partial

from benchmarks.gpu_check.case import ROOT, Case, Failed, Figures, Place, Unfinished, environment, last_line
from mmext.engine.log import scalars_if_any

ENOUGH = 60  # seconds of a training that are worth a start
STOPPING = 60  # seconds that a training may take to write its checkpoint and end
STOPPED = 75  # the exit code of a training that a signal has ended
# config, network, the paper's accuracy in percent
RECIPES = (
    ('rir_cifar10', 'rir32', 92.97), ('rir_cifar10', 'rir_resnet32', 92.32), ('rir_cifar10', 'rir_init32', 89.62),
    ('rir_cifar10', 'rir_cnn32', 89.03), ('iresnet_cifar10', 'iresnet164_cifar', None),
    ('iresnet_cifar10', 'resnet164_cifar', None), ('recursive_cifar10', 'resnet18_recursive', 94.70),
    ('recursive_cifar10', 'resnet18', 94.32), ('cresnet_cifar10', 'cresnet15_a1', 95.72),
    ('cresnet_cifar10', 'resnet18', 95.48),
)


def recipe(config: str, network: str, paper: float | None, place: Place) -> Figures:
    """Trains a recipe to its end, or as far as the budget goes; a quick check trains one epoch of a few images.

    Raises:
        Unfinished: the budget is used up; the checkpoint is there.
    """
    left = place.end - time.time() - STOPPING
    if left < ENOUGH and not place.quick:
        raise Unfinished('the budget is used up')
    work_dir = place.folder / 'results' / f'{config}_{network}'
    work_dir.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, '-m', 'mmext', 'train', str(ROOT / 'configs' / 'classification' / f'{config}.py'),
               '--backbone', network, '--data-root', str(place.data_root), '--seed', '0', '--work-dir', str(work_dir),
               '--amp', 'bf16', '--resume', *(['--epochs', '1'] if place.quick else [])]
    with open(work_dir / 'printed.log', 'w') as log, subprocess.Popen(
            command, cwd=ROOT, env=environment(), stdout=log, stderr=subprocess.STDOUT) as training:
        try:
            code = training.wait(max(left, ENOUGH) if place.end < float('inf') else None)
        except subprocess.TimeoutExpired:
            training.send_signal(signal.SIGTERM)
            code = training.wait(STOPPING)
    values = [record['accuracy/top1'] for record in scalars_if_any(work_dir) if 'accuracy/top1' in record]
    if code == STOPPED:
        raise Unfinished(f'stopped with a checkpoint; {len(values)} validations so far')
    if code:
        printed = (work_dir / 'printed.log').read_text(errors='replace')
        raise Failed(last_line(printed, code))
    return dict(top1=values[-1], **(dict(paper=paper) if paper else {}))


CASES = [Case('results', f'{config}, {network}', partial(recipe, config, network, paper), seconds=120,
              limit=float('inf')) for config, network, paper in RECIPES]
