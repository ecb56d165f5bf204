"""Counts parameters and FLOPs of a config, or of a named network.

    mmext complexity configs/ssd300_iresnet50_coco.py --convention iresnet
    mmext complexity --backbone iresnet50 --num-classes 1000 --input 3 224 224
    mmext complexity --backbone iresnet3d50 --convention iresnet
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from mmext.analysis import CONVENTIONS
from mmext.engine.flags.actions import OptionsAction
from mmext.errors import UserError


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog, description='Count parameters and FLOPs, on the meta device.')
    parser.add_argument('config', nargs='?', help='a file of configs/; --backbone replaces its network')
    parser.add_argument('--backbone', metavar='NAME',
                        help='without a config: a classifier with this network; iresnet3d50 is iresnet50 for clips')
    parser.add_argument('--num-classes', type=int, help='classes of the classifier (default: 1000, or 400 for clips)')
    parser.add_argument('--input', type=int, nargs='+', metavar='N',
                        help="input shape C H W or C T H W (default: that of the config or of the network: 3 224 224, "
                        '3 32 32 or, for clips, 3 16 224 224)')
    parser.add_argument('--stem', help="a stem instead of the network's own: conv7x7, conv3x3, conv1x1, conv3x3_twice")
    parser.add_argument('--convention', choices=CONVENTIONS, default='macs',
                        help='the paper whose way of counting FLOPs is used (default: plain multiply-accumulates)')
    parser.add_argument('--cfg-options', nargs='+', action=OptionsAction, metavar='k=v', help='sets keys of the config')
    parser.add_argument('--json', action='store_true', help='print JSON')
    return parser


def main(args: argparse.Namespace) -> None:
    from mmext.analysis import published, subjects

    if args.config:
        if args.stem or args.num_classes:
            raise UserError('--stem and --num-classes need --backbone without a config; for a config use '
                            '--cfg-options model.backbone.stem=... and the head\'s num_classes')
        subject = subjects.from_config(args.config, args.backbone, args.cfg_options, args.input)
    elif args.backbone:
        subject = subjects.classifier(args.backbone, args.num_classes, args.input, args.stem)
    else:
        raise UserError('give a config or --backbone NAME')
    counted = subject.complexity(args.convention)
    if args.json:
        print(json.dumps(counted.as_dict()))
        return
    print(f'{subject.name}, input {" x ".join(map(str, subject.shape))}')
    print(f'params {counted.params / 1e6:10.4f} M')
    print(f'MACs   {counted.macs / 1e9:10.4f} G')
    if args.convention != 'macs':
        print(f'FLOPs  {counted.flops / 1e9:10.4f} G   as the {args.convention} paper counts them')
    if not args.config:
        model: Any = subject.model
        name = subjects.name_for_images(args.backbone)
        for row in published.classifier_rows(name, model.fc.out_features, subject.shape, model.backbone.stem):
            print(published.line(row))
