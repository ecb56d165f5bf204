"""Shows how the signal passes the main path of networks at initialisation: ReLUs, zeroed signal, gradients by depth.

    mmext signal-view                                  # ResNet, pre-activation, ResStage and iResNet, 50 to 1001 layers
    mmext signal-view resnet18 cresnet18_a 'rir*32' --out signal.png
    mmext signal-view 'iresnet*' --images photos/ --size 96 --batch 8

Main path is the way with the fewest ReLUs through the stages. The gradient is that of a cross entropy with random
labels. Each network is built, measured on one batch in training mode, and dropped before the next.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mmext.engine import cli
from mmext.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from mmext.analysis.signals import Signal

DEFAULT = [f'{family}{depth}' for family in ('resnet', 'preact_resnet', 'resstage', 'iresnet')
           for depth in (50, 101, 152, 200, '1001_cifar')]
SIZES = {True: 64, False: 32}  # pixels, by whether the stem is for large images
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # of ImageNet, RGB
MOST_PIXELS, MOST_IMAGES = 1024, 64


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    parser = cli.Parser(prog, __doc__)
    parser.add_argument('networks', nargs='*', default=DEFAULT, metavar='NETWORK',
                        help="names of mmext.list_backbones(), or patterns such as 'iresnet*_cifar'")
    parser.add_argument('--images', type=Path, metavar='DIR', help='the first images of this folder instead of noise')
    parser.add_argument('--batch', type=int, default=4, metavar='N', help='number of images (default: %(default)s)')
    parser.add_argument('--size', type=int, metavar='PIXELS',
                        help=f'their side (default: {SIZES[False]}, or {SIZES[True]} for stems for large images)')
    parser.add_argument('--seed', type=int, default=0, help='of weights, noise and labels (default: %(default)s)')
    parser.add_argument('--out', default='signal.png', metavar='FILE', help='.png, .svg or .pdf (default: %(default)s)')
    parser.add_argument('--json', metavar='FILE.json', help='the figures (default: beside the picture)')
    return parser


def main(args: argparse.Namespace) -> None:
    from dataclasses import asdict

    from mmext.analysis.signal_page import make_page
    from mmext.figures import require_suffix, write_figure
    from mmext.files import require_target, write_json
    from mmext.screen import bar

    for option, value, least, most in (('--batch', args.batch, 2, MOST_IMAGES), ('--size', args.size, 1, MOST_PIXELS)):
        if value is not None and not least <= value <= most:
            raise UserError(f'{option} {value}: need a number from {least} to {most}')
    require_suffix(args.out, '--out')
    out, figures = Path(args.out), Path(args.json or Path(args.out).with_suffix('.json'))
    for path in (out, figures):
        require_target(path)
    names = chosen(args.networks)
    pictures = read_pictures(args.images, args.batch) if args.images else None
    signals = [signal_of(name, args.batch, args.size, args.seed, pictures) for name in bar('signal', 'network', names)]
    print_table(signals)
    what = f'images of {args.images}' if pictures else 'images of noise'
    write_json(figures, dict(batch=args.batch, size=args.size, seed=args.seed, input=what,
                             networks=list(map(asdict, signals))))
    write_figure(out, make_page(signals, f'The signal at initialisation, {args.batch} {what}'))
    print(f'figures: {figures}\npicture: {out}')


def chosen(patterns: Sequence[str]) -> list[str]:
    """The names that the patterns stand for, each once. Raises UserError for a pattern that fits none."""
    from mmext.backbones.names import find_backbone, list_backbones

    names: dict[str, None] = {}
    for pattern in patterns:
        found = list_backbones(pattern)
        if not found:
            find_backbone(pattern)  # says what is near
        names.update(dict.fromkeys(found))
    return list(names)


def read_pictures(folder: Path, batch: int) -> list:
    """The first images of a folder, RGB. Raises UserError if there are too few or one can't be read."""
    from mmext.data.decoding import read_rgb
    from mmext.data.inputs import files_in

    if not folder.is_dir():
        raise UserError(f'--images {folder}: no such folder')
    paths = files_in(folder, ['images'])
    if len(paths) < batch:
        raise UserError(f'--images {folder}: {len(paths)} images, fewer than --batch {batch}')
    return [read_rgb(path) for path in paths[:batch]]


def signal_of(name: str, batch: int, size: int | None, seed: int, pictures: list | None) -> Signal:
    """Builds and measures a network."""
    import torch

    from mmext.analysis.signals import measure
    from mmext.backbones import create_backbone
    from mmext.backbones.plan import STEMS

    torch.manual_seed(seed)
    backbone = create_backbone(name)
    side = size or SIZES[STEMS[backbone.stem].pool]
    if pictures is None:
        return measure(name, backbone, torch.randn(batch, 3, side, side), seed)
    return measure(name, backbone, normalised(pictures, side), seed)


def normalised(pictures: list, side: int) -> Tensor:
    """The central square of each picture, resized: (N, 3, side, side) with ImageNet's mean and deviation."""
    import cv2
    import numpy as np
    import torch

    squares = []
    for picture in pictures:
        height, width = picture.shape[:2]
        short = min(height, width)
        top, left = (height - short) // 2, (width - short) // 2
        square = cv2.resize(picture[top:top + short, left:left + short], (side, side), interpolation=cv2.INTER_AREA)
        squares.append((square.astype(np.float32) - MEAN) / STD)
    return torch.from_numpy(np.stack(squares).transpose(0, 3, 1, 2).astype(np.float32).copy())


def print_table(signals: Sequence[Signal]) -> None:
    """Prints a row for each network."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title='The signal at initialisation', title_justify='left')
    for column in ('network', 'layers', 'blocks', 'ReLUs on the main path', 'negative signal zeroed',
                   'gradient, first block', 'last block', 'first / last'):
        table.add_column(column, justify='left' if column == 'network' else 'right', no_wrap=column == 'network')
    for signal in signals:
        table.add_row(signal.name, str(signal.layers), str(len(signal.blocks)), str(signal.relus),
                      f'{100 * signal.zeroed:.1f} %', f'{signal.blocks[0].gradient:.3g}',
                      f'{signal.blocks[-1].gradient:.3g}', f'{signal.decay:.3g}')
    Console(width=max(120, Console().width)).print(table)
