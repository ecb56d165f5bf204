"""Common code of the commands: the config from their arguments, and one-line error messages for user errors."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmext.engine.allocator import keep_memory
from mmext.engine.flags.flag import add_flags, apply_flags
from mmext.engine.flags.shared import CONFIG, FILES, SHARED
from mmext.errors import DiskFull, Interrupted, UserError
from mmext.files import is_disk_full


def config_from(args: argparse.Namespace) -> Config:
    """Loads the config that the arguments describe, and makes it safe to interrupt and resume."""
    from mmext.engine.config import load_config, make_safe

    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    config = load_config(args.config, data_root=args.data_root, files=files_of(args), classes=args.classes,
                         backbone=args.backbone, options=args.cfg_options, checkpoint=getattr(args, 'checkpoint', None),
                         testing=hasattr(args, 'checkpoint'))
    make_safe(config)
    apply_flags(SHARED, config, args)
    return config


class Parser(argparse.ArgumentParser):
    """The parser of a command.

    Args:
        prog: the name of the command in messages; that of the process by default.
        doc: the docstring of its module. Its first paragraph begins ``--help``, and the others end it.
        options: those of ``argparse.ArgumentParser``.
    """

    def __init__(self, prog: str | None = None, doc: str | None = None, **options: Any) -> None:
        head, _, rest = (doc or '').partition('\n\n')
        texts = dict(description=head, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter) if doc else {}
        super().__init__(prog, **{**texts, **options})


class IntermixedParser(Parser):
    """A parser that takes positional arguments also between and after options."""

    def parse_args(self, args=None, namespace=None):
        return self.parse_intermixed_args(args, namespace)


def add_config_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags that ``config_from`` needs, for a command that runs no model."""
    add_flags(parser, CONFIG)
    parser.set_defaults(local_rank=0, memory_format='contiguous')


def files_of(args: argparse.Namespace) -> dict[str, str]:
    """The annotation files and image folders that the arguments name, for ``load_config``."""
    return {flag.dest: getattr(args, flag.dest) for flag in FILES if getattr(args, flag.dest)}


def run_name(config: str, backbone: str | None, seed: int | None = None) -> str:
    """The name of a run's folder: that of the config, then the backbone if it was replaced and the seed if given."""
    name = Path(config.rpartition('::')[2]).stem
    return name + (f'_{backbone}' if backbone else '') + ('' if seed is None else f'_seed{seed}')


def run(main: Callable[[], int | None]) -> None:
    """Calls ``main`` and exits with its return code.

    The exit code is 2 for a UserError, 3 for a full disk, 75 for a training that was stopped by a signal and can be
    resumed, and 130 for Ctrl-C. Any other exception is a bug and shows its traceback. If ``MMEXT_TRACEBACK`` is set in
    the environment, a UserError shows its traceback too.
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
    """The message of an error. Worker processes and registries wrap it into longer texts whose last line it is."""
    last = str(error).strip().splitlines()[-1]
    return last.rpartition('UserError: ')[2]
