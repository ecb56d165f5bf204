"""Training on a processor with N cores: one process with N threads beside N processes with one thread each.

    benchmarks/processes.py                    # as many cores as this machine has, SSD300-iResNet18 in bf16
    benchmarks/processes.py --cores 4 --batch 16 --format fp32 --backbone iresnet50

Both train the same config on the same generated images with the same whole batch, and take turns. A time is the median
of a run's steps without the first ones.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from pathlib import Path

from runs import EVERY_BATCH, call

from mmext.engine import cli
from mmext.engine.log import read_scalars
from mmext.errors import UserError

WARM_UP = 4  # steps


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--config', default='configs/ssd300_iresnet50_coco.py', help='a config of a detector')
    parser.add_argument('--backbone', default='iresnet18')
    parser.add_argument('--batch', type=int, default=8, help='of all processes together')
    parser.add_argument('--format', choices=('bf16', 'fp32'), default='bf16')
    parser.add_argument('--cores', type=int, default=len(os.sched_getaffinity(0)), metavar='N')
    parser.add_argument('--rounds', type=int, default=3)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if args.cores < 2 or args.batch % args.cores:
        raise UserError(f'--cores {args.cores} --batch {args.batch}: need 2 or more, and a batch that they divide')
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        call('make_shapes.py', folder / 'data')
        rounds = [[seconds(processes, turn, folder, args) for processes in (1, args.cores)]
                  for turn in range(args.rounds)]
    ratios = sorted(one / many for one, many in rounds)
    print(f'{args.config}, {args.backbone}, {args.format}, batch {args.batch}, {args.cores} cores, '
          f'{args.rounds} rounds')
    for kind, times in zip((f'1 process, {args.cores} threads', f'{args.cores} processes, 1 thread'), zip(*rounds)):
        median = statistics.median(times)
        print(f'{kind:24}{1000 * median:8.0f} ms a step{args.batch / median:8.2f} images/s')
    print(f'speed-up by processes: {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})')


def seconds(processes: int, turn: int, folder: Path, args: argparse.Namespace) -> float:
    """The median time of a training step, of all processes together."""
    run = folder / f'{processes}_{turn}'
    launcher = ('-m', 'torch.distributed.run', '--standalone', f'--nproc_per_node={processes}')
    call('train.py', args.config, '--backbone', args.backbone, '--data-root', folder / 'data', '--classes', 'auto',
         '--work-dir', run, '--epochs', 1, '--seed', turn, *(['--amp', 'bf16'] if args.format == 'bf16' else []),
         *(['--launcher', 'pytorch'] if processes > 1 else []), '--cfg-options', EVERY_BATCH,
         f'train_dataloader.batch_size={args.batch // processes}', 'train_dataloader.num_workers=0',
         'train_dataloader.persistent_workers=False', 'train_cfg.val_begin=2',
         launcher=launcher if processes > 1 else (), env=dict(OMP_NUM_THREADS=str(args.cores // processes)))
    steps = [record['time'] for record in read_scalars(run) if record['mode'] == 'train']
    return statistics.median(steps[WARM_UP:])


if __name__ == '__main__':
    cli.run(main)
