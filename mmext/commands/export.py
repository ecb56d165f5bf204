"""Writes ONNX files of trained models or of backbones, and compares them in onnxruntime with torch.

    mmext export backbone iresnet50 --checkpoint epoch_90.pth --out iresnet50.onnx
    mmext export backbone iresnet50 --frames 16 --dynamic --out clips.onnx
    mmext export model work_dirs/ssd300_iresnet50_coco/epoch_130.pth --fuse --out ssd300.onnx
    mmext export model configs/iresnet3d50_kinetics400.py downloaded.pth --out recognizer.onnx
    mmext export model faster_rcnn.pth --nms --size 800 1344 --check val2017/ --out faster_rcnn.onnx

A model is an SSD or RetinaNet (boxes and scores; with --nms detections), a Faster R-CNN (with --nms), a classifier or a
recognizer of clips (scores). Its checkpoint contains what is needed of the config; one that another program has written
needs the config before it.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mmext.engine import cli
from mmext.engine.flags.actions import DictAction
from mmext.engine.flags.flag import add_flags
from mmext.engine.flags.shared import BACKBONE, CONFIG, OPTIONS
from mmext.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mmext.engine.fusion import Difference
    from mmext.export import Graph


def build_parser(prog: str | None = None) -> argparse.ArgumentParser:
    parser = cli.Parser(prog, __doc__)
    kinds = parser.add_subparsers(dest='kind', required=True)

    backbone = kinds.add_parser('backbone', help='normalised (N, C, [T,] H, W) -> the feature map of each stage')
    backbone.add_argument('name', help='a name in mmext.list_backbones()')
    backbone.add_argument('--checkpoint', metavar='FILE',
                          help='weights of a classifier, of a detector or of the network itself')
    backbone.add_argument('--dims', type=int, choices=(2, 3), help='2 for images, 3 for clips (default: 2)')
    backbone.add_argument('--frames', type=int, metavar='T', help='frames of a clip (default with --dims 3: 16)')
    backbone.add_argument('--dynamic', action='store_true', help='make frames, height and width dynamic')
    backbone.add_argument('--cfg-options', nargs='+', action=DictAction, default={}, metavar='k=v',
                          help='arguments of the network, such as out_indices=(1,2,3) or stem=conv3x3')

    model = kinds.add_parser('model', help='pixels from 0 to 255 -> the scores of classes, and boxes of a detector')
    model.add_argument('paths', nargs='+', metavar='PATH', help='[CONFIG] CHECKPOINT')
    add_flags(model, (BACKBONE, OPTIONS))

    detector = kinds.add_parser('detector', help='the same for a detector, with the flags of a test')
    detector.add_argument('config', help='a file of configs/, or the config that training wrote to its work dir')
    detector.add_argument('checkpoint')
    add_flags(detector, CONFIG)

    for kind in (model, detector):
        kind.add_argument('--nms', action='store_true', help='of a detector: include non-maximum suppression, and give '
                          'boxes, scores and labels of the detections')
        kind.add_argument('--check', metavar='DIR', help='compare the file with torch on the images or videos in this '
                          'folder, in onnxruntime and, if it is installed, OpenVINO')

    for kind in (backbone, model, detector):
        kind.add_argument('--out', required=True, metavar='FILE.onnx')
        kind.add_argument('--size', type=int, nargs=2, metavar=('H', 'W'), help='size of the images in pixels')
        kind.add_argument('--fuse', action='store_true', help='fold batch norms into convolutions')
        kind.add_argument('--opset', type=int, metavar='N', help="ONNX opset version (default: torch's choice)")
        kind.add_argument('--tolerance', type=float, default=1e-4, metavar='X',
                          help="largest difference from torch, relative to an output's largest value "
                               '(default: %(default)s)')
    return parser


def graph_of(args: argparse.Namespace) -> Graph:
    """The graph that the arguments describe."""
    from mmext.backbones.trained import Trained
    from mmext.engine.config import load_config
    from mmext.export import backbone_graph, detector_graph

    if args.kind == 'model':
        return model_graph(args)
    if args.kind == 'detector':
        config = load_config(args.config, data_root=args.data_root, files=cli.files_of(args), classes=args.classes,
                             backbone=args.backbone, options=args.cfg_options, checkpoint=args.checkpoint, testing=True)
        if not config.get('model', {}).get('backbone'):
            raise UserError(f'{args.config}: this config has no model.backbone')
        return detector_graph(config, Trained.read(args.checkpoint), args.size, args.nms)
    frames = args.frames
    if frames is None and args.dims == 3:
        frames = 16
    if frames is not None and args.dims == 2:
        raise UserError(f'--dims 2 --frames {frames}: an image has no frames; give --dims 3')
    return backbone_graph(args.name, args.checkpoint, size=args.size, frames=frames, dynamic=args.dynamic,
                          **args.cfg_options)


def model_graph(args: argparse.Namespace) -> Graph:
    """The graph of a trained model of any task."""
    from mmext.export import detector_graph, scores_graph
    from mmext.prediction.load import read_model
    from mmext.task import task_of

    if len(args.paths) > 2:
        raise UserError(f'{args.paths[2]}: give a checkpoint, or a config and a checkpoint')
    config, trained = read_model(*args.paths, backbone=args.backbone, options=args.cfg_options)
    args.checkpoint = trained.source
    if task_of(config).detects:
        return detector_graph(config, trained, args.size, args.nms)
    if args.nms:
        raise UserError(f'--nms: it is for detectors, and this model is a {task_of(config).model_kind}')
    if args.size:
        raise UserError('--size: the size of a classifier or recognizer is that of the crops in the test pipeline')
    return scores_graph(config, trained)


def files_to_check(args: argparse.Namespace, graph: Graph) -> list[Path]:
    """The files of --check. Raises a UserError if there are none."""
    from mmext.data.inputs import files_in

    folder = Path(args.check)
    kind = 'images' if len(graph.shape) == 3 else 'videos'
    if not folder.is_dir() or not (files := files_in(folder, (kind, ))):
        raise UserError(f'--check {folder}: no {kind} there; give a folder of them')
    return files


def main(args: argparse.Namespace) -> None:
    from mmext.export import compare_files, require_onnx, write_onnx
    from mmext.files import require_target

    require_onnx()
    require_target(args.out)
    graph = graph_of(args)
    files = files_to_check(args, graph) if args.kind != 'backbone' and args.check else []
    found = write_onnx(graph, args.out, fused=args.fuse, opset=args.opset, tolerance=args.tolerance)
    print(f'{graph.input}: {" x ".join(map(str, ("N", *graph.shape)))}')
    print_differences('onnxruntime', found)
    if not args.checkpoint:
        print('note: the weights are random, because no --checkpoint is given')
    print(f'written: {args.out}')
    if files:
        print(f'on {len(files)} files of {args.check}:')
        for runtime, found in compare_files(graph, args.out, files).items():
            print_differences(runtime, found)


def print_differences(runtime: str, found: Mapping[str, Difference]) -> None:
    """Prints how much each output differs from torch."""
    for name, (absolute, relative) in found.items():
        if name == 'labels':
            print(f'labels: {absolute:.0f} detections in an image, {relative:.2%}, are not the same in {runtime}')
        else:
            print(f'{name}: {runtime} differs from torch by at most {absolute:.1e}, {relative:.1e} of its largest '
                  'value')
