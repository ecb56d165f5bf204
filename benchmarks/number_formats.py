"""Training in fp32 beside training in bf16 on a processor: losses, and the metric after the last epoch.

    benchmarks/number_formats.py                                       # the two demos, three seeds
    benchmarks/number_formats.py --tasks classification --cifar10 DATA # rir32, DATA has cifar-10-batches-py/
    benchmarks/number_formats.py --tasks detection --seeds 0 --epochs 4 --work-dir work_dirs/formats

Each run is that of a user: mmext train with and without --amp bf16. The last two columns of the summary say how far the
formats are apart, and how far seeds are. A finished run in --work-dir is not repeated.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from runs import EVERY_BATCH, ROOT, call, losses_of_epochs

from mmext.analysis.runs import read_log, unit_of
from mmext.engine import cli
from mmext.errors import UserError

FORMATS = {'fp32': [], 'bf16': ['--amp', 'bf16']}


@dataclass(frozen=True)
class Recipe:
    """What is trained for a task: config, number of epochs, options, changes of the config, and the metric."""

    config: str
    epochs: int
    metric: str
    options: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()


RECIPES = {
    'detection': Recipe('ssd300_iresnet50_coco', 10, 'coco/AP', ('--backbone', 'iresnet18', '--classes', 'auto'),
                        ('optim_wrapper.optimizer.lr=0.005', 'train_dataloader.batch_size=8')),
    'recognition': Recipe('demo/iresnet3d18_motion', 10, 'accuracy/top1'),
    'classification': Recipe('classification/rir_cifar10', 4, 'accuracy/top1', ('--backbone', 'rir32'),
                             ('train_dataloader.dataset.limit=10000', 'train_dataloader.batch_size=100')),
}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--tasks', nargs='+', choices=RECIPES, default=['detection', 'recognition'])
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument('--epochs', type=int, help="default: the recipe's")
    parser.add_argument('--cifar10', type=Path, metavar='DATA', help='for classification: has cifar-10-batches-py/')
    parser.add_argument('--work-dir', type=Path, help='keep the data and the runs there')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if 'classification' in args.tasks and not args.cifar10:
        raise UserError('--tasks classification: give --cifar10 DATA, a folder with cifar-10-batches-py/')
    runs = Table('task', 'seed', 'format', 'loss of epoch 1', 'of the last', 'metric', 'minutes')
    summary = Table('task', 'metric', *FORMATS, 'bf16 - fp32, mean', 'deviation over seeds, fp32')
    with tempfile.TemporaryDirectory() as temporary:
        folder = (args.work_dir or Path(temporary)).resolve()
        for task in args.tasks:
            found = {(seed, name): trained(task, seed, name, folder, args) for seed in args.seeds for name in FORMATS}
            for (seed, name), (losses, metric, minutes) in found.items():
                runs.add_row(task, str(seed), name, f'{losses[0]:.3f}', f'{losses[-1]:.3f}', f'{metric:.2f}',
                             f'{minutes:.1f}')
            summary.add_row(task, RECIPES[task].metric, *compared({
                name: [found[seed, name][1] for seed in args.seeds] for name in FORMATS}))
    Console(width=120).print(runs, summary)


def compared(metrics: dict[str, list[float]]) -> list[str]:
    """The columns of the summary: all values of each format, their mean difference, and the deviation over seeds."""
    difference = statistics.fmean(metrics['bf16']) - statistics.fmean(metrics['fp32'])
    spread = f'{statistics.stdev(metrics["fp32"]):.2f}' if len(metrics['fp32']) > 1 else '-'
    return [*(', '.join(f'{value:.2f}' for value in values) for values in metrics.values()), f'{difference:+.2f}',
            spread]


def trained(task: str, seed: int, name: str, folder: Path,
            args: argparse.Namespace) -> tuple[list[float], float, float]:
    """Losses of the epochs, metric in percent, and minutes of one run."""
    recipe, run = RECIPES[task], folder / f'{task}_{name}_seed{seed}'
    epochs = args.epochs or recipe.epochs
    done, began = run / 'minutes.txt', time.time()
    if not done.is_file():
        data = data_of(task, folder, args)
        call('train.py', ROOT / f'configs/{recipe.config}.py', *recipe.options, '--data-root', data, '--work-dir', run,
             '--seed', seed, '--overwrite', '--epochs', epochs, *FORMATS[name], '--cfg-options', *recipe.changes,
             EVERY_BATCH, f'train_cfg.val_interval={epochs}')
        done.write_text(f'{(time.time() - began) / 60:.2f}')
    metric = list(read_log(run).values(recipe.metric).values())[-1]
    return losses_of_epochs(run), metric * unit_of(recipe.metric)[0], float(done.read_text())


def data_of(task: str, folder: Path, args: argparse.Namespace) -> Path:
    """The data of a task, generated where that is possible."""
    if task == 'classification':
        return args.cifar10.resolve()
    tool, data = ('make_shapes.py', folder / 'shapes') if task == 'detection' else ('make_motion.py', folder / 'motion')
    if not data.is_dir():
        call(tool, data)
    return data


if __name__ == '__main__':
    cli.run(main)
