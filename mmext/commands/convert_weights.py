"""Converts the parameter names of checkpoints from other libraries to ours, or back, and writes safetensors.

    mmext convert-weights resnet50-11ad3fa6.pth resnet50.pth --backbone resnet50 --source torchvision
    mmext convert-weights authors.pt cresnet27_a2.pth --backbone cresnet27_a2 --source cresnet
    mmext convert-weights work_dirs/mine/epoch_90.pth mine.pth --backbone resnet50 --target timm
    mmext convert-weights work_dirs/mine/epoch_130.pth detector.safetensors

The suffix of the second file determines its format. Without --backbone, the names are not changed and any model can be
converted; the output has its weights and class names.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mmext.engine import cli
from mmext.errors import UserError

OURS = 'mmext'


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    parser = cli.Parser(prog, __doc__)
    parser.add_argument('checkpoint', help='a file or URL')
    parser.add_argument('out', type=Path)
    parser.add_argument('--backbone', metavar='NAME',
                        help='the name of the network in mmext; without it no name is changed')
    parser.add_argument('--stem', help="its stem, if not the network's default")
    formats = [OURS, 'cresnet', 'torchvision', 'timm']
    parser.add_argument('--source', choices=formats, default=OURS,
                        help='the naming scheme of the input (default: %(default)s)')
    parser.add_argument('--target', choices=formats, default=OURS,
                        help='the naming scheme of the output (default: %(default)s)')
    return parser


def copy_weights(args: argparse.Namespace) -> None:
    """Writes the weights in the format of the second file, with the same names."""
    from mmext.backbones.trained import Trained
    from mmext.checkpoints import write_weights
    from mmext.files import require_target

    require_target(args.out, 'the second argument')
    trained = Trained.read(str(args.checkpoint))
    if not trained.weights:
        raise UserError(f'{args.checkpoint}: contains no weights')
    write_weights(args.out, trained.weights, classes=trained.classes or (), stored=trained.stored)
    print(f'{args.out}: {len(trained.weights)} tensors, {len(trained.classes or ())} class names')


def main(args: argparse.Namespace) -> None:
    if args.backbone is None and args.source == args.target == OURS:
        copy_weights(args)
        return
    if args.backbone is None:
        raise UserError('--backbone: give the network whose names are to be changed')
    if (args.source == OURS) == (args.target == OURS):
        raise UserError(f'--source {args.source} --target {args.target}: one of the two must be {OURS}, the other not')

    from mmext.backbones.convert import rename, renaming
    from mmext.backbones.meta import on_meta
    from mmext.backbones.weights import require_match
    from mmext.checkpoints import read_checkpoint, weights_of, write_weights
    from mmext.classification import create_classifier
    from mmext.files import require_target

    require_target(args.out, 'the second argument')
    weights = weights_of(read_checkpoint(args.checkpoint))
    head = next((weights[name] for name in ('fc.weight', 'linear.weight') if name in weights), None)
    if head is None:
        raise UserError(f'{args.checkpoint}: no fc.weight or linear.weight; only whole classifiers can be converted')
    with on_meta():
        model = create_classifier(args.backbone, len(head), **(dict(stem=args.stem) if args.stem else {}))
    names = renaming(model, args.target if args.source == OURS else args.source)
    if args.source == OURS:
        require_match(model, weights, args.checkpoint)
    else:
        names = {theirs: ours for ours, theirs in names.items()}
    renamed = rename(weights, names, str(args.checkpoint))
    if args.target == OURS:
        require_match(model, renamed, args.checkpoint)

    write_weights(args.out, renamed, bare=args.target != OURS)
    for old, new in names.items():
        if old in weights:
            print(f'{old} -> {new}')
    print(f'{args.out}: {len(renamed)} of {len(weights)} tensors, {args.source} to {args.target}')
    if args.source == 'cresnet' and args.backbone.endswith(('_b1', '_b3')):
        print(f'note: for the computation of the authors, build {args.backbone} with authors_wiring=True')
