"""Trains a config: tools/train.py configs/ssd300_iresnet50_coco.py"""

from __future__ import annotations

import argparse

import mmext  # noqa: F401  repairs the stack before anything else is imported
from mmext.engine import cli
from mmext.engine.flags.flag import add_flags, apply_flags
from mmext.engine.flags.training import FLAGS, TRAINING


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Train a config. Several processes: torchrun --nproc_per_node=8 tools/train.py CONFIG --launcher '
        'pytorch, or srun --ntasks=16 python tools/train.py CONFIG --launcher slurm.')
    parser.add_argument('config', help='a file of configs/')
    add_flags(parser, FLAGS)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from mmext.engine import run

    config = cli.config_from(args)
    apply_flags(TRAINING, config, args)
    run.set_up(config, args.work_dir, cli.run_name(args), args.launcher)
    run.train(config, resume=args.resume or ('auto' if args.resume_anyway else None), overwrite=args.overwrite,
              resume_anyway=args.resume_anyway)


if __name__ == '__main__':
    cli.run(main)
