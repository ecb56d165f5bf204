"""Trains a config: mmext train configs/ssd300_iresnet50_coco.py"""

from __future__ import annotations

import argparse

from mmext.engine import cli
from mmext.engine.flags.flag import add_flags, apply_flags
from mmext.engine.flags.training import FLAGS, TRAINING


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog, description='Train a config. Several processes: torchrun --nproc_per_node=8 -m mmext train CONFIG '
        '--launcher pytorch, or srun --ntasks=16 python -m mmext train CONFIG --launcher slurm.')
    parser.add_argument('config', help='a file of configs/')
    add_flags(parser, FLAGS)
    return parser


def main(args: argparse.Namespace) -> None:
    from mmext.engine import run

    config = cli.config_from(args)
    apply_flags(TRAINING, config, args)
    run.set_up(config, args.work_dir, cli.run_name(args.config, args.backbone, args.seed), args.launcher)
    run.train(config, resume=args.resume or ('auto' if args.resume_anyway else None), overwrite=args.overwrite,
              resume_anyway=args.resume_anyway)
