"""Recognizes your own videos, without labels: mmext recognize CONFIG CHECKPOINT VIDEO ...

    mmext recognize configs/demo/iresnet3d18_motion.py work_dirs/demo_video/epoch_10.pth clips/ --views 10x3

uses the test pipeline of the config and the classes of the checkpoint.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mmext.data.suffixes import VIDEOS
from mmext.engine.flags.flag import add_flags
from mmext.engine.flags.shared import BACKBONE, OPTIONS, memory_format
from mmext.engine.flags.testing import views_at_once
from mmext.errors import UserError
from mmext.files import print_left_out


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog, description='Recognize your own videos.')
    parser.add_argument('config', help='a file of configs/, or the config that training wrote to its work dir')
    parser.add_argument('checkpoint')
    parser.add_argument('videos', nargs='+', type=Path, metavar='VIDEO', help='video files or folders of video files')
    parser.add_argument('--views', metavar='CLIPSxCROPS',
                        help="clips and crops of a video, such as 10x3 or 1x1 (default: the config's)")
    add_flags(parser, [views_at_once])
    parser.add_argument('--top', type=int, default=3, metavar='K',
                        help='number of classes to print (default: %(default)s)')
    parser.add_argument('--out', metavar='FILE.json', help='write the scores of all classes to this file')
    parser.add_argument('--show-dir', metavar='DIR', help='draw the videos into this folder')
    add_flags(parser, (memory_format, BACKBONE, OPTIONS))
    return parser


def main(args: argparse.Namespace) -> None:
    from mmext import files
    from mmext.backbones.trained import Trained
    from mmext.engine.config import fit_heads, load_config
    from mmext.inference import Inferencer
    from mmext.task import require_task
    from mmext.video.drawing import write_pictures

    config = load_config(args.config, backbone=args.backbone, options=args.cfg_options)
    task = require_task(config, 'recognizer', 'mmext predict is for detectors')
    if args.views:
        task.set_views(config, args.views)
    task.limit_views(config, args.views_at_once)
    if args.top < 1:
        raise UserError(f'--top {args.top}: need at least 1')
    videos = find_videos(args.videos)
    if args.out:
        files.require_target(args.out)
    if args.show_dir:
        files.require_writable(args.show_dir, '--show-dir')
    trained = Trained.read(args.checkpoint)
    fit_heads(config, trained.classes)
    recognize = Inferencer(config, trained, memory_format=args.memory_format)
    found = []
    for path in videos:
        found.append(recognize(path))
        told = ', '.join(f'{name} {100 * score:.1f} %' for name, score in found[-1].best(args.top))
        print(f'{path}: {told}', flush=True)
    if args.out:
        files.write_json(args.out, {str(path): one.scores for path, one in zip(videos, found)})
        print(f'scores: {args.out}')
    if args.show_dir:
        write_pictures(args.show_dir, [one.shown() for one in found], f'{len(found)} videos, {args.checkpoint}')
        print(f'pictures: {args.show_dir}')


def find_videos(paths: list[Path]) -> list[Path]:
    """The files, and the files in folders that have the suffix of a video. Raises a UserError if there are none."""
    found = []
    for path in paths:
        inside = [path]
        if path.is_dir():
            files = sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith('.'))
            inside = [file for file in files if file.suffix.lower() in VIDEOS]
            print_left_out(path, (file.name for file in files if file not in inside))
        if not inside:
            raise UserError(f'{path}: no videos in this folder ({", ".join(VIDEOS)})')
        if not inside[0].is_file():
            raise UserError(f'{path}: no such video')
        found += inside
    return found
