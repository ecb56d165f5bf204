"""Checks the data of a config without training: mmext check-data configs/ssd300_iresnet50_coco.py --all

    mmext check-data configs/ssd300_iresnet50_coco.py --data-root data/mine --classes auto
    mmext check-data configs/iresnet3d50_kinetics400.py --data-root data/kinetics400 --all --out data.json

It runs the checks that training and testing run before they start, with the same messages: annotations, lists, classes,
missing files, image sizes, batches. With --all, all images and all frames of all videos are decoded, by several
processes. The exit code is 0 if every file can be used, 1 if some can't, and 2 if training would not start.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from mmext.engine import cli
from mmext.errors import UserError

if TYPE_CHECKING:
    from mmext.engine.check_data import Checked


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    parser = cli.Parser(prog, __doc__)
    parser.add_argument('config', help='a file of configs/')
    parser.add_argument('--all', action='store_true',
                        help='read every file: decode all images and all frames of videos')
    parser.add_argument('--out', nargs='+', default=[], metavar='FILE',
                        help='write a report to these files: *.json, *.txt or both')
    parser.add_argument('--workers', type=int, default=os.cpu_count() or 1, metavar='N',
                        help='number of reading processes (default: the number of cores, %(default)s); 0 reads in '
                             'this one')
    cli.add_config_flags(parser)
    return parser


def main(args: argparse.Namespace) -> int:
    if args.workers < 0:
        raise UserError(f'--workers {args.workers}: need 0 or more')
    for path in args.out:
        if Path(path).suffix not in ('.json', '.txt'):
            raise UserError(f'--out {path}: a report is a .json or .txt file')
    from mmext.engine.check_data import check_data
    from mmext.files import require_target

    for path in args.out:
        require_target(path)
    config = cli.config_from(args)
    with tempfile.TemporaryDirectory() as folder:  # mmengine logs to a folder
        config.work_dir = folder
        found = check_data(config, args.all, args.workers)
    print_found(args, found)
    for path in args.out:
        write(path, args, found)
        print(f'report: {path}')
    return int(any(checked.troubles for checked in found))


def print_found(args: argparse.Namespace, found: list[Checked]) -> None:
    """Prints a table for each data set: its number of samples, and the files that can't be used."""
    from mmext.data.checking import MISSING, OTHER_SIZE, UNREADABLE
    from mmext.screen import print_kinds

    for checked in found:
        rows = {'samples': [''] * checked.samples}
        if args.all:
            rows['files read'] = [''] * checked.files
        for kind in (MISSING, UNREADABLE, OTHER_SIZE) if args.all else (MISSING, ):
            rows[kind] = [f'{trouble.path}: {trouble.reason}' for trouble in checked.troubles if trouble.kind == kind]
        print_kinds(f'{checked.loader}: {checked.place}', rows, unnamed=['samples', 'files read'], unit='count')


def write(path: str, args: argparse.Namespace, found: list[Checked]) -> None:
    """Writes the report, atomically."""
    from dataclasses import asdict

    from mmext.files import write_json, write_text
    from mmext.text import printable

    if path.endswith('.json'):
        sets = [asdict(checked) for checked in found]
        write_json(path, dict(config=args.config, every_file=args.all, data_sets=sets))
        return
    lines = []
    for checked in found:
        lines.append((checked.loader, checked.place, f'{checked.samples} samples', f'{checked.files} files read'))
        lines += [(trouble.path, trouble.kind, trouble.reason) for trouble in checked.troubles]
    text = ''.join('\t'.join(map(printable, fields)) + '\n' for fields in lines)
    write_text(path, text)
