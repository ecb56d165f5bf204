"""Trains a config: tools/train.py configs/ssd300_iresnet50_coco.py"""

from __future__ import annotations

import argparse

import mmext  # noqa: F401  repairs the stack before anything else is imported
from mmext.engine import cli


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Train a config.')
    parser.add_argument('config', help='a file of configs/')
    cli.add_config_arguments(parser)
    parser.add_argument('--resume', nargs='?', const='auto', metavar='CKPT',
                        help='go on from a checkpoint; without a path, from the last one in the work dir')
    parser.add_argument('--amp', action='store_true', help='mixed precision (needs a GPU)')
    parser.add_argument('--auto-scale-lr', action='store_true', help="scale the learning rate to the batch that's used")
    parser.add_argument('--seed', type=int, help='of everything random; drawn and logged if not given')
    parser.add_argument('--deterministic', action='store_true', help='only deterministic algorithms; slower on a GPU')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from mmext.engine import run
    from mmext.engine.training import apply_training_flags

    config = cli.config_from(args)
    apply_training_flags(config, amp=args.amp, auto_scale_lr=args.auto_scale_lr, seed=args.seed,
                         deterministic=args.deterministic)
    run.set_up(config, args.work_dir, cli.run_name(args), args.launcher)
    run.train(config, resume=args.resume)


if __name__ == '__main__':
    cli.run(main)
