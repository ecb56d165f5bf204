"""What the commands share: their common arguments, and an end in one line for a user's mistake."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from mmengine.config import Config, DictAction

from mmext.errors import DiskFull, UserError
from mmext.files import is_disk_full

COMPILE_MODES = ('default', 'reduce-overhead', 'max-autotune')  # of torch.compile


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that change a config, the same for training and testing."""
    parser.add_argument('--work-dir', help='where the run writes (default: work_dirs/<config>[_<backbone>][_seed<N>])')
    parser.add_argument('--data-root', help="moves every data set and evaluator of the config there")
    parser.add_argument('--classes', help="your own: 'auto' takes them from the training annotations, or a,b,c")
    parser.add_argument('--backbone', metavar='NAME', help='another network, as mmext.list_backbones() names it')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='k=v', help='other keys of the config')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm'], default='none',
                        help="'pytorch' under torchrun, 'slurm' under srun")
    parser.add_argument('--local-rank', '--local_rank', type=int, default=0, help=argparse.SUPPRESS)


def config_from(args: argparse.Namespace) -> Config:
    """The config that the arguments describe, made safe to interrupt and resume."""
    from mmext.engine.config import load_config, make_safe

    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    config = load_config(args.config, data_root=args.data_root, classes=args.classes, backbone=args.backbone,
                         options=args.cfg_options)
    make_safe(config)
    return config


def run_name(args: argparse.Namespace) -> str:
    """What a run's folder is called: the config's name, the backbone's if it was swapped, the seed if one is given."""
    seed = getattr(args, 'seed', None)
    return Path(args.config).stem + (f'_{args.backbone}' if args.backbone else '') + (
        '' if seed is None else f'_seed{seed}')


def run(main: Callable[[], int | None]) -> None:
    """Calls ``main`` and exits with its code.

    2 is for a UserError, 3 for a full disk, 130 for Ctrl-C; a traceback is for our own mistakes.
    """
    try:
        code = main() or 0
    except UserError as error:
        print(f'error: {message(error)}', file=sys.stderr)
        code = error.code
    except OSError as error:
        if not is_disk_full(error):
            raise
        print(f'error: {DiskFull(error.filename or os.getcwd())}', file=sys.stderr)
        code = DiskFull.code
    except KeyboardInterrupt:
        print('stopped', file=sys.stderr)
        code = 130
    sys.exit(code)


def message(error: UserError) -> str:
    """The error's one line. Worker processes and registries wrap it into more; the line itself comes last there."""
    last = str(error).strip().splitlines()[-1]
    return last.rpartition('UserError: ')[2]
