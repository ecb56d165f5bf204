"""The flags that training and testing have in common."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from mmext.engine.flags.actions import OptionsAction
from mmext.engine.flags.flag import Flag, flag

if TYPE_CHECKING:
    from mmengine.config import Config

MEMORY_FORMATS = ('auto', 'contiguous', 'channels_last')  # mmext.backbones.memory_format, which imports torch


@flag('--memory-format', choices=MEMORY_FORMATS, default='auto', always=True,
      help="memory format of the weights; 'auto' is channels_last where that is faster: for images on a CPU, and on a "
      'GPU with --amp',
      docs='memory format of the weights: `channels_last`, `contiguous`, or `auto`, the default, which is channels '
      'last where that is faster: for images on a CPU, and on a GPU with `--amp`')
def memory_format(config: Config, value: str, given: argparse.Namespace) -> None:
    """Sets the memory format of the weights for training and testing, overriding that of the config."""
    others = [hook for hook in config.get('custom_hooks') or [] if hook['type'] != 'mmext.MemoryFormatHook']
    config.custom_hooks = [*others, dict(type='mmext.MemoryFormatHook', memory_format=value)]


WORK_DIR = Flag('--work-dir',
                dict(help='where the run writes its files (default: work_dirs/<config>[_<backbone>][_seed<N>])'),
                shown='--work-dir DIR',
                docs='where the run writes its files; by default `work_dirs/<config>[_<backbone>][_seed<N>]`')
DATA_ROOT = Flag('--data-root', dict(help='the data root of every data set and evaluator of the config'),
                 shown='--data-root DIR', docs='the folder of your own data, see [own_data.md](own_data.md)')
FILES = tuple(Flag(f'--{split}-{kind}', dict(metavar=metavar, help=f'{what} of the {data} data of a detector{rest}'))
              for split, data, rest in (('train', 'training', ''), ('val', 'validation', ', and of the test'),
                                        ('test', 'test', ', if it has its own'))
              for kind, metavar, what in (('json', 'FILE', "annotation file, in COCO's format,"),
                                          ('images', 'DIR', 'image folder')))
CLASSES = Flag(
    '--classes', dict(help="class names a,b,c, which may be some of those in the data, or 'auto' for those of the "
                      'tested checkpoint or else of the training annotations'),
    shown='--classes a,b,c|auto',
    docs='the classes of your own data, or some of them (`--classes person,car` on COCO); `auto` for those of the '
    'training annotations, and in a test for those of the checkpoint')
BACKBONE = Flag(
    '--backbone', dict(metavar='NAME', help='another network, by its name in mmext.list_backbones()'),
    docs='another network in the same config, with the channels adapted; outputs go to `work_dirs/<config>_<NAME>`')
OPTIONS = Flag('--cfg-options', dict(nargs='+', action=OptionsAction, metavar='k=v',
                                     help='sets other keys of the config'),
               shown='--cfg-options k=v ...', docs='sets any other key of the config, see below')
LAUNCHER = Flag('--launcher', dict(choices=['none', 'pytorch', 'slurm'], default='none',
                                   help="'pytorch' under torchrun, 'slurm' under srun"),
                shown='--launcher pytorch|slurm', docs='several processes, see below')
LOCAL_RANK = Flag('--local-rank', dict(type=int, default=0, help=argparse.SUPPRESS), also=('--local_rank', ))

CONFIG = (DATA_ROOT, *FILES, BACKBONE, OPTIONS, CLASSES)  # the arguments of load_config, as it applies them
SHARED = (WORK_DIR, *CONFIG, memory_format, LAUNCHER, LOCAL_RANK)
