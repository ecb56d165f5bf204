"""What the commands share: a config from their arguments, and an end in one line for a user's mistake."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from mmengine.config import Config

from mmext.engine.allocator import keep_memory
from mmext.engine.flags.flag import apply_flags
from mmext.engine.flags.shared import SHARED
from mmext.errors import DiskFull, Interrupted, UserError
from mmext.files import is_disk_full


def config_from(args: argparse.Namespace) -> Config:
    """The config that the arguments describe, made safe to interrupt and resume."""
    from mmext.engine.config import load_config, make_safe

    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    config = load_config(args.config, data_root=args.data_root, classes=args.classes, backbone=args.backbone,
                         options=args.cfg_options, checkpoint=getattr(args, 'checkpoint', None),
                         testing=hasattr(args, 'checkpoint'))
    make_safe(config)
    apply_flags(SHARED, config, args)
    return config


def run_name(args: argparse.Namespace) -> str:
    """What a run's folder is called: the config's name, the backbone's if it was swapped, the seed if one is given."""
    seed = getattr(args, 'seed', None)
    return Path(args.config).stem + (f'_{args.backbone}' if args.backbone else '') + (
        '' if seed is None else f'_seed{seed}')


def run(main: Callable[[], int | None]) -> None:
    """Calls ``main`` and exits with its code.

    2 is for a UserError, 3 for a full disk, 75 for a training that a signal has ended and that can be gone on with, 130
    for Ctrl-C; a traceback is for our own mistakes. With
    ``MMEXT_TRACEBACK`` in the environment a UserError has its traceback, too.
    """
    keep_memory()
    try:
        code = main() or 0
    except UserError as error:
        if os.environ.get('MMEXT_TRACEBACK'):
            raise
        print(f'error: {message(error)}', file=sys.stderr)
        code = error.code
    except OSError as error:
        if not is_disk_full(error):
            raise
        print(f'error: {DiskFull(error.filename or os.getcwd())}', file=sys.stderr)
        code = DiskFull.code
    except Interrupted as end:
        if str(end):
            print(end, file=sys.stderr)
        code = end.code
    except KeyboardInterrupt:
        print('stopped', file=sys.stderr)
        code = 130
    sys.exit(code)


def message(error: UserError) -> str:
    """The error's one line. Worker processes and registries wrap it into more; the line itself comes last there."""
    last = str(error).strip().splitlines()[-1]
    return last.rpartition('UserError: ')[2]
