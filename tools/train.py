"""Trains a config: tools/train.py configs/ssd300_iresnet50_coco.py"""

from __future__ import annotations

import argparse

import mmext  # noqa: F401  repairs the stack before anything else is imported
from mmext.engine import cli


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Train a config. Several processes: torchrun --nproc_per_node=8 tools/train.py CONFIG --launcher '
        'pytorch, or srun --ntasks=16 python tools/train.py CONFIG --launcher slurm.')
    parser.add_argument('config', help='a file of configs/')
    cli.add_config_arguments(parser)
    parser.add_argument('--resume', nargs='?', const='auto', metavar='CKPT',
                        help='go on from a checkpoint; without a path, from the newest one in the work dir that can '
                        'be read, or from the beginning where there is none')
    parser.add_argument('--resume-anyway', action='store_true',
                        help='go on though the learning rate, the schedule, the optimizer, the batch, the seed or the '
                        'number of processes is not what it was; the first three stay what they were')
    parser.add_argument('--save-every', metavar='WHEN',
                        help='also write a checkpoint every so many iterations (500 or 500it), or so often (10min, 2h, '
                        '90s); the newest of these is kept')
    parser.add_argument('--overwrite', action='store_true',
                        help='delete the checkpoints of an earlier training in the work dir, and start anew')
    parser.add_argument('--amp', nargs='?', const='auto', choices=cli.PRECISIONS,
                        help='mixed precision: fp16 with a scaled loss (needs a GPU), bf16 without (on a GPU or a '
                        "processor), or 'auto', the default: fp16 on a GPU, bf16 on a processor that is fast in it")
    parser.add_argument('--compile', nargs='?', const='default', choices=cli.COMPILE_MODES, metavar='MODE',
                        help='torch.compile of backbone, neck and dense head: ' + ', '.join(cli.COMPILE_MODES))
    parser.add_argument('--accumulate', type=int, metavar='N',
                        help='one update from the gradients of N batches, as if they were one batch')
    parser.add_argument('--auto-scale-lr', action='store_true',
                        help="scale the learning rate, which is for the paper's batch, to the batch that's used: of a "
                        'process, times processes, times N of --accumulate')
    parser.add_argument('--clip-grad', type=float, metavar='NORM', help='scale gradients down to this norm')
    parser.add_argument('--ema', nargs='?', type=float, const=2e-4, metavar='MOMENTUM',
                        help='validate, and keep for testing, the moving average of the weights; MOMENTUM is the '
                        'weight of the newest (default %(const)s, an average over about 5000 updates)')
    parser.add_argument('--sync-bn', action='store_true', help='batch norms share statistics over all processes')
    parser.add_argument('--tensorboard', action='store_true', help='write what is logged to TensorBoard too')
    parser.add_argument('--seed', type=int, help='of everything random; drawn and logged if not given')
    parser.add_argument('--deterministic', action='store_true', help='only deterministic algorithms; slower on a GPU')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from mmext.engine import run
    from mmext.engine.training import apply_training_flags

    config = cli.config_from(args)
    apply_training_flags(config, launcher=args.launcher, amp=args.amp, tensorboard=args.tensorboard,
                         sync_bn=args.sync_bn, compile_mode=args.compile, accumulate=args.accumulate,
                         clip_grad=args.clip_grad, ema=args.ema, auto_scale_lr=args.auto_scale_lr, seed=args.seed,
                         deterministic=args.deterministic, save_every=args.save_every)
    run.set_up(config, args.work_dir, cli.run_name(args), args.launcher)
    run.train(config, resume=args.resume or ('auto' if args.resume_anyway else None), overwrite=args.overwrite,
              resume_anyway=args.resume_anyway)


if __name__ == '__main__':
    cli.run(main)
