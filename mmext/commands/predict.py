"""Runs a detector on images, folders of images, and videos.

    mmext predict configs/ssd300_iresnet50_coco.py work_dirs/ssd300_iresnet50_coco/epoch_130.pth holiday/ clip.mp4

uses the test pipeline of the config and the classes of the checkpoint. Pictures are written to <out>/<name>.jpg, videos
to <out>/<name>.mp4 (without sound), and boxes, scores and classes to <out>/predictions.json, whose format is described
in mmext/detection/prediction_file.py. Unreadable files are reported and skipped; the exit code is then 1.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mmext.engine import cli
from mmext.engine.flags.flag import add_flags
from mmext.engine.flags.shared import BACKBONE, OPTIONS, memory_format
from mmext.errors import UserError


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog, description=__doc__.splitlines()[0])
    parser.add_argument('config', help='a file of configs/, or the config that training wrote to its work dir')
    parser.add_argument('checkpoint')
    parser.add_argument('inputs', nargs='+', type=Path, metavar='INPUT',
                        help='images, videos, or folders with images and videos')
    parser.add_argument('--out', metavar='DIR',
                        help='output folder (default: work_dirs/<config>[_<backbone>]/predictions)')
    parser.add_argument('--score', type=float, default=0.3, help='minimal score of a detection (default: %(default)s)')
    parser.add_argument('--device', help='cpu, cuda or cuda:1 (default: the GPU if there is one)')
    add_flags(parser, (memory_format, BACKBONE, OPTIONS))
    return parser


def main(args: argparse.Namespace) -> int:
    if not 0 <= args.score <= 1:
        raise UserError(f'--score {args.score:g}: need a number from 0 to 1')
    from tqdm import tqdm

    from mmext.backbones.trained import Trained, choose_device
    from mmext.detection.prediction import Predictor, find_inputs
    from mmext.detection.prediction_file import RESULT
    from mmext.engine.config import fit_heads, load_config
    from mmext.files import require_writable
    from mmext.inference import Inferencer
    from mmext.task import require_task

    device = choose_device(args.device)
    config = load_config(args.config, backbone=args.backbone, options=args.cfg_options)
    require_task(config, 'detector', 'mmext recognize is for recognizers of videos')
    out = Path(args.out or Path('work_dirs', cli.run_name(args), 'predictions'))
    inputs, skipped = find_inputs(args.inputs, out)
    for path, reason in skipped.items():
        print(f'skipped: {path}: {reason}', file=sys.stderr)
    if not inputs:
        return 1
    require_writable(out, '--out')
    trained = Trained.read(args.checkpoint)
    fit_heads(config, trained.classes)
    detect = Inferencer(config, trained, device, args.score, args.memory_format)
    predictor = Predictor(detect, detect.classes, args.score, out, lambda line: tqdm.write(line, file=sys.stderr),
                          quiet=not sys.stderr.isatty())
    unread = predictor.run(inputs, skipped)
    print(f'{predictor.found} detections in {predictor.read} files: {out}/, {out / RESULT}')
    if unread:
        print(f'{len(unread)} could not be read completely', file=sys.stderr)
    return int(bool(unread))
