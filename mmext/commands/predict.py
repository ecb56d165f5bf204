"""Runs a trained model on your own images and videos.

    mmext predict work_dirs/ssd300_iresnet50_coco/epoch_130.pth holiday/ clip.mp4
    mmext predict configs/ssd300_iresnet50_coco.py epoch_130.pth holiday/ --score 0.5 --out found
    mmext predict work_dirs/demo_video/epoch_10.pth clips/ --views 10x3 --out scores.json

The model is a detector, a classifier or a recognizer. Its checkpoint contains what is needed of the config; a
checkpoint that another program has written needs the config before it. Detectors take images and videos, classifiers
images, and recognizers videos.

For each input, a picture is written to <out>/<name>.jpg; detectors write videos to <out>/<name>.mp4 (without sound).
All results are written to <out>/predictions.json, whose format is described in mmext/prediction/json_file.py.
Unreadable files are reported and skipped; the exit code is then 1.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mmext.engine import cli
from mmext.engine.flags.flag import add_flags
from mmext.engine.flags.shared import BACKBONE, OPTIONS, memory_format
from mmext.engine.flags.testing import DTYPE, ENGINE, views_at_once
from mmext.errors import UserError

if TYPE_CHECKING:
    from mmext.classification.results import Scores
    from mmext.inference import Inferencer
    from mmext.prediction.predictor import Predictor

RESULT = 'predictions.json'
DEFAULT_SCORE = 0.3


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    parser = cli.IntermixedParser(prog, __doc__)
    parser.add_argument('paths', nargs='+', metavar='PATH',
                        help='[CONFIG] CHECKPOINT INPUT ...: inputs are images, videos, or folders of them')
    parser.add_argument('--out', metavar='DIR', help='output folder, or a .json file for the results alone, without '
                        'pictures (default: predictions/ beside the checkpoint, or work_dirs/<config>/predictions)')
    parser.add_argument('--show-dir', metavar='DIR', help='another folder for the pictures')
    parser.add_argument('--score', type=float, metavar='X',
                        help='minimal score of a detection (default: 0.3); for detectors')
    parser.add_argument('--top', type=int, default=3, metavar='K',
                        help='number of classes to print (default: %(default)s); for classifiers and recognizers')
    parser.add_argument('--views', metavar='CLIPSxCROPS', help='clips and crops of a video, such as 10x3 or 1x1 '
                        "(default: the config's); for recognizers")
    add_flags(parser, (views_at_once, ENGINE, DTYPE))
    parser.add_argument('--device', help='cpu, cuda or cuda:1 (default: the GPU if there is one)')
    add_flags(parser, (memory_format, BACKBONE, OPTIONS))
    return parser


def main(args: argparse.Namespace) -> int:
    if args.score is not None and not 0 <= args.score <= 1:
        raise UserError(f'--score {args.score:g}: need a number from 0 to 1')
    if args.top < 1:
        raise UserError(f'--top {args.top}: need at least 1')
    from mmext.backbones.trained import choose_device
    from mmext.data.inputs import find_inputs
    from mmext.export.engines import require_engine, use_engine
    from mmext.files import require_target, require_writable
    from mmext.inference import Inferencer
    from mmext.prediction.load import read_model
    from mmext.task import task_of

    config_path, checkpoint, paths = split_paths(args.paths)
    device = choose_device(args.device)
    require_engine(args.engine, args.dtype, device)
    config, trained = read_model(config_path or checkpoint, checkpoint if config_path else None, views=args.views,
                                 views_at_once=args.views_at_once, backbone=args.backbone, options=args.cfg_options)
    task = task_of(config)
    if args.score is not None and not task.detects:
        raise UserError(f'--score: it is for detectors, and this model is a {task.model_kind}')
    file, pictures = places(args, config_path, checkpoint)
    inputs, skipped = find_inputs(paths, pictures, task.inputs, '.mp4' if task.detects else '.jpg')
    for path, reason in skipped.items():
        print(f'skipped: {path}: {reason}', file=sys.stderr)
    if not inputs:
        return 1
    require_target(file)
    if pictures:
        require_writable(pictures, '--show-dir' if args.show_dir else '--out')
    model = Inferencer(config, trained, device, DEFAULT_SCORE if args.score is None else args.score, args.memory_format)
    use_engine(model.model, model.source, args.engine, args.dtype)
    predictor = predictor_of(model, file, bool(pictures), args.top)
    unread = predictor.run(inputs, skipped)
    counted = f'{predictor.found} detections in ' if task.detects else ''
    print(f'{counted}{predictor.read} files: {f"{pictures}/, " if pictures else ""}{file}')
    if unread:
        print(f'{len(unread)} could not be read completely', file=sys.stderr)
    return int(bool(unread))


def split_paths(paths: list[str]) -> tuple[str | None, str, list[Path]]:
    """The config, if there is one, the checkpoint and the inputs.

    Raises:
        UserError: One of them is missing, or an input is a URL.
    """
    from mmext.data.inputs import require_local
    from mmext.engine.config import is_config

    config, rest = (paths[0], paths[1:]) if is_config(paths[0]) else (None, paths)
    if len(rest) < 2:
        missing = 'images or videos' if rest else 'a checkpoint, and images or videos'
        raise UserError(f'{paths[-1]}: give {missing} after it, as in mmext predict epoch_10.pth pictures/')
    for path in rest[1:]:
        require_local(path)
    return config, rest[0], [Path(path) for path in rest[1:]]


def places(args: argparse.Namespace, config: str | None, checkpoint: str) -> tuple[Path, Path | None]:
    """The JSON file, and the folder of the pictures; None for no pictures."""
    shown = Path(args.show_dir) if args.show_dir else None
    if args.out and args.out.endswith('.json'):
        return Path(args.out), shown
    beside = Path(checkpoint).parent if '://' not in checkpoint else Path('work_dirs')
    out = Path(args.out) if args.out else (
        Path('work_dirs', cli.run_name(config, args.backbone)) if config else beside) / 'predictions'
    return out / RESULT, shown or out


def predictor_of(model: Inferencer, file: Path, draws: bool, top: int) -> Predictor:
    """The predictor for a model, which prints the ``top`` best classes unless the model is a detector."""
    from tqdm import tqdm

    from mmext.prediction.predictor import Predictor

    detects = model.task.detects
    header = dict(classes=list(model.classes or ()), **dict(score=model.score) if detects else {})
    quiet = not sys.stderr.isatty()

    def tell(line: str) -> None:
        tqdm.write(line, file=sys.stderr)

    def tell_result(path: Path, found: Scores) -> None:
        tqdm.write(f'{path}: {found.describe(top)}', file=sys.stdout)

    return Predictor(model.infer, header, file, tell, None if detects else tell_result, not detects, draws, quiet)
