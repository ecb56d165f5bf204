"""The commands: ``mmext train ...``, and the same as ``tools/train.py ...`` in a checkout.

Each command is a module with ``build_parser(prog)`` and ``main(args)``, which returns the exit code, or None for 0. To
add a command, write its module and add it to ``SUMMARIES``.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

import mmext

SUMMARIES = {
    'train': 'trains a config',
    'test': 'evaluates a checkpoint, or a file of detections',
    'predict': 'runs a detector, classifier or recognizer on your own images and videos',
    'benchmark': 'compares the speed of configs',
    'complexity': 'counts parameters and FLOPs',
    'paths': 'shows the paths of formulas and networks, and finds formulas for paths',
    'export': 'writes ONNX files',
    'convert-weights': 'converts checkpoints from and to other libraries',
    'convert-data': 'converts annotations from YOLO, Pascal VOC, LabelMe and CVAT to COCO, and back',
    'check-data': 'checks the data of a config without training',
    'browse': 'writes a page of samples after augmentation, class counts and box sizes',
    'prepare-video': 'checks, lists and resizes videos, and extracts frames',
    'plot': 'draws the curves of runs',
    'gather-runs': 'summarises runs with several seeds',
    'compare': 'compares methods over data sets by their ranks',
    'ablate': 'tests a trained network without each of its parts in turn',
    'signal-view': 'shows ReLUs, zeroed signal and gradients of networks at initialisation',
    'doctor': 'reports what is installed, what is repaired and what is missing',
}


def run(name: str, arguments: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Runs a command and exits with its exit code.

    Args:
        name: A key of ``SUMMARIES``.
        arguments: Its arguments; those of the process by default.
        prog: The name for its messages; that of the process by default.
    """
    from mmext.engine import cli

    command = importlib.import_module(f'mmext.commands.{name.replace("-", "_")}')
    cli.run(lambda: command.main(command.build_parser(prog).parse_args(arguments)))


def main() -> None:
    """The console command ``mmext``, and ``python -m mmext``."""
    listed = '\n'.join(f'  {name:<16} {summary}' for name, summary in SUMMARIES.items())
    parser = argparse.ArgumentParser('mmext', 'mmext COMMAND ...', 'Backbones of four papers for mmdet and mmaction2.',
                                     f'commands (mmext COMMAND --help has the arguments):\n{listed}',
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('command', choices=SUMMARIES, metavar='COMMAND', help='one of the list below')
    parser.add_argument('--version', action='version', version=f'mmext {mmext.__version__}')
    name = parser.parse_args(sys.argv[1:2]).command
    run(name, sys.argv[2:], f'mmext {name}')
