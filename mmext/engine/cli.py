"""What the commands share: their common arguments, and an end in one line for a user's mistake."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from mmengine.config import Config
from mmengine.config import DictAction as MMEngineDictAction

from mmext.engine.allocator import keep_memory
from mmext.errors import DiskFull, Interrupted, UserError
from mmext.files import is_disk_full

MEMORY_FORMATS = ('auto', 'contiguous', 'channels_last')  # mmext.backbones.memory_format, which imports torch
PRECISIONS = ('auto', 'fp16', 'bf16')
COMPILE_MODES = ('default', 'reduce-overhead', 'max-autotune')  # of torch.compile


class DictAction(MMEngineDictAction):
    """``--option k=v k=v ...``: a dict of values; UserError where an argument is not of this form."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Sequence[str],
                 option_string: str | None = None) -> None:
        for word, following in zip(values, [*values[1:], '']):
            key, sign, _ = word.partition('=')
            if not key or not sign:
                raise UserError(f'{option_string} {word}: need key=value{self.remedy(word, following)}')
        self.keep(namespace, values)

    @staticmethod
    def remedy(word: str, following: str) -> str:
        """What was probably meant."""
        if word.startswith('='):
            return ', without a space before the ='
        if os.path.exists(word):
            return f'; is {word} an argument of its own? it goes before the option'
        value = following.removeprefix('=')
        return f', without a space: {word}={value}' if following and not value.partition('=')[1] else ''

    def keep(self, namespace: argparse.Namespace, values: Sequence[str]) -> None:
        super().__call__(None, namespace, values)


class OptionsAction(DictAction):
    """``--cfg-options k=v k=v ...``: a dict of ``options.Text``, which are read when the config is there."""

    def keep(self, namespace: argparse.Namespace, values: Sequence[str]) -> None:
        from mmext.engine.options import Text

        given = dict(getattr(namespace, self.dest, None) or {})
        given.update((key, Text(text)) for key, _, text in (word.partition('=') for word in values))
        setattr(namespace, self.dest, given)


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that change a config, the same for training and testing."""
    parser.add_argument('--work-dir', help='where the run writes (default: work_dirs/<config>[_<backbone>][_seed<N>])')
    parser.add_argument('--data-root', help="moves every data set and evaluator of the config there")
    parser.add_argument('--classes', help="your own: a,b,c, or 'auto': those of the checkpoint that is "
                        'tested, or else of the training annotations')
    parser.add_argument('--backbone', metavar='NAME', help='another network, as mmext.list_backbones() names it')
    parser.add_argument('--cfg-options', nargs='+', action=OptionsAction, metavar='k=v',
                        help='other keys of the config')
    add_memory_format(parser)
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm'], default='none',
                        help="'pytorch' under torchrun, 'slurm' under srun")
    parser.add_argument('--local-rank', '--local_rank', type=int, default=0, help=argparse.SUPPRESS)


def add_memory_format(parser: argparse.ArgumentParser) -> None:
    """``--memory-format``, of every command that runs a model."""
    parser.add_argument('--memory-format', choices=MEMORY_FORMATS, default='auto',
                        help="of the weights; 'auto' is channels_last where that is faster: for images on a processor, "
                        'and on a GPU with --amp')


def config_from(args: argparse.Namespace) -> Config:
    """The config that the arguments describe, made safe to interrupt and resume."""
    from mmext.engine.config import load_config, make_safe, set_memory_format

    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    config = load_config(args.config, data_root=args.data_root, classes=args.classes, backbone=args.backbone,
                         options=args.cfg_options, checkpoint=getattr(args, 'checkpoint', None),
                         testing=hasattr(args, 'checkpoint'))
    make_safe(config)
    set_memory_format(config, args.memory_format)
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
