"""The flags of a test."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from mmext.engine.flags.flag import Flag, apply_flags, flag, with_defaults
from mmext.engine.flags.shared import SHARED
from mmext.errors import UserError

if TYPE_CHECKING:
    from mmengine.config import Config

    from mmext.task import Task

VIEWS_AT_ONCE = 10
LEAST_SCALE = 0.1
DETECTIONS = Flag(
    '--detections', dict(metavar='FILE', help="evaluate this file of detections in COCO's result format, or of scores "
                         'that --save-scores has written, without a model'), also=('--scores', ),
    shown='--detections FILE, --scores FILE',
    docs='instead of a checkpoint: evaluates a file of detections, or of a classifier\'s or recognizer\'s scores, '
    'without the model')
OUT = Flag('--out', dict(nargs='+', action='extend', default=[], metavar='FILE',
                         help='write the metrics to these files: *.json, *.md or both'), shown='--out FILE ...',
           docs='writes the metrics as `.json` (unrounded fractions of 1, -1 for undefined metrics) and as `.md`, a '
           'table for a paper')
SAVE_DETECTIONS = Flag('--save-detections', dict(
    metavar='FILE', help='write the detections, or the scores of all classes, to this file (default: <work '
    'dir>/detections.json; with --report, <work dir>/scores.npz)'), needs_model=True, also=('--save-scores', ),
    shown='--save-detections FILE, --save-scores FILE',
    docs='the file for the detections, by default `<work dir>/detections.json`; for a classifier or recognizer the '
    'file for the scores of all classes, with `--report` by default `<work dir>/scores.npz`')
FUSE = Flag('--fuse', dict(
    action='store_true', help='fold batch norms into convolutions, compare the outputs, and print the speed-up'),
    needs_model=True)
ENGINES, DTYPES = ('torch', 'compile', 'onnxruntime', 'openvino'), ('fp32', 'bf16', 'int8')  # see mmext.export.engines
CALIBRATED_WITH = 100
ENGINE = Flag('--engine', dict(
    choices=ENGINES, default='torch',
    help='what computes the network (default: %(default)s); onnxruntime and openvino keep an ONNX file of it beside '
         'the checkpoint'), needs_model=True, shown='--engine torch|compile|onnxruntime|openvino',
    docs='what computes the network: torch, `torch.compile`, onnxruntime or OpenVINO; see [deployment.md]'
         '(deployment.md#faster-on-a-processor)')
DTYPE = Flag('--dtype', dict(choices=DTYPES, default='fp32',
                             help='number format of the network (default: %(default)s)'), needs_model=True,
             shown='--dtype fp32|bf16|int8', docs='number format of the network: bf16 with every engine but '
             'onnxruntime, int8 with onnxruntime and OpenVINO')
CALIBRATION = Flag('--calibration', dict(
    type=int, default=CALIBRATED_WITH, metavar='N',
    help='images or videos of the training set that --dtype int8 is calibrated with (default: %(default)s)'),
    needs_model=True, docs='images or videos of the training set that `--dtype int8` is calibrated with, '
    f'{CALIBRATED_WITH} by default')
SHOW_SCORE = Flag('--show-score', dict(
    type=float, default=0.3, metavar='SCORE',
    help='minimal score of detections drawn in --show-dir and --report (default: %(default)s)'),
    docs='minimal score of detections drawn in `--show-dir` and `--report` (default: 0.3)')
SKIP_UNREADABLE = Flag('--skip-unreadable', dict(
    action='store_true', help='replace missing or unreadable images and videos by black ones instead of failing'),
    needs_model=True)


def task_of(config: Config) -> Task:
    """See ``mmext.task.task_of``. Its import takes seconds, which ``--help`` must not."""
    from mmext import task

    return task.task_of(config)


@flag('--per-class', action='store_true', help='also print AP and counts of each class',
      docs='also prints AP, AP50 and AP75 of each class and its number of images and objects; for a classifier or '
      'recognizer, the accuracy of each class')
def per_class(config: Config, value: bool, given: argparse.Namespace) -> None:
    """Sets ``per_class`` of the metric. Raises a UserError if the metric has no such argument."""
    from mmext.components import arguments, find_component

    metric = task_of(config).metric_of(config)
    if 'per_class' not in arguments(find_component(metric.type, config.get('default_scope'), 'METRICS')):
        raise UserError(f'--per-class: {metric.type} does not offer it; use a test_evaluator that does, such as '
                        'mmext.CocoMetric, mmext.Accuracy or mmext.ActionAccuracy')
    metric.per_class = True


@flag('--reference', action='store_true',
      help='evaluate with pycocotools, which gives the same numbers as hotcoco in more time',
      docs='evaluates with pycocotools instead of hotcoco')
def reference(config: Config, value: bool, given: argparse.Namespace) -> None:
    """Sets ``reference`` of the metric. Raises a UserError if the config does not detect boxes."""
    task_of(config).detection_metric(config, '--reference').reference = True


@flag('--report', metavar='DIR', help='write DIR/index.html about the model: metrics, errors, confusion, calibration, '
      'pictures, curves', docs='writes `DIR/index.html`, a self-contained page about the model')
def report(config: Config, folder: str, given: argparse.Namespace) -> None:
    """Raises a UserError if there is no report for the config's task, or the folder is not writable."""
    task_of(config).require_report(config, folder)


@flag('--show-dir', metavar='DIR', needs_model=True,
      help='draw every image with ground truth beside detections, or some right and wrong videos, into this folder')
def show_dir(config: Config, folder: str, given: argparse.Namespace) -> None:
    """Raises a UserError if the task has no drawing hook, which the command hands to the test, or the folder is not
    writable.
    """
    from mmext.files import require_writable

    task_of(config).drawing_hook(config, folder, given.show_score)
    require_writable(folder, '--show-dir')


@flag('--views', metavar='CLIPSxCROPS', needs_model=True,
      help="clips and crops of a video, such as 10x3 or 1x1 (default: the config's)")
def views(config: Config, value: str, given: argparse.Namespace) -> None:
    """Sets the clips and crops of each video, see ``Task.set_views``."""
    task_of(config).set_views(config, value)


@flag('--views-at-once', type=int, metavar='N', default=VIEWS_AT_ONCE, always=True,
      help='views of a video that go through the network together (default: %(default)s); fewer need less memory',
      docs=f'views of a video that go through the network together, {VIEWS_AT_ONCE} by default; fewer need less memory '
      'and give the same scores')
def views_at_once(config: Config, value: int, given: argparse.Namespace) -> None:
    """See ``Task.limit_views``."""
    task_of(config).limit_views(config, value)


@flag('--tta', nargs='?', const='1', metavar='SCALES', shown='--tta [SCALES]', needs_model=True,
      help='test-time augmentation: the mean of an image and its mirror image, for a detector also in several sizes, '
      "such as 0.8,1,1.2 times the config's",
      docs='test-time augmentation. A detector sees each image and its mirror image, with `0.8,1,1.2` in three sizes, '
      'as factors of the size in the config; a classifier averages an image and its mirror image. For videos there is '
      '`--views`')
def tta(config: Config, scales: str, given: argparse.Namespace) -> None:
    """See ``Task.augment_test``. Raises a UserError for unusable factors, and together with --fuse."""
    try:
        factors = [float(word) for word in scales.split(',')]
    except ValueError:
        factors = []
    if not factors or not all(LEAST_SCALE <= factor <= 1 / LEAST_SCALE for factor in factors):
        raise UserError(f'--tta {scales}: need factors of the image size from {LEAST_SCALE:g} to {1 / LEAST_SCALE:g}, '
                        'such as 0.8,1,1.2')
    if given.fuse:
        raise UserError('--tta: does not work together with --fuse')
    task_of(config).augment_test(config, factors)


def set_image_size(config: Config, value: float, given: argparse.Namespace) -> None:
    """Applies --img-size and --crop-pct together, see ``Task.set_image_size``."""
    task_of(config).set_image_size(config, given.img_size, given.crop_pct)


IMG_SIZE = Flag('--img-size', dict(
    type=int, metavar='N', help="for class folders: the side of the centre crop, such as 320 (default: the config's)"),
    effect=set_image_size, needs_model=True)
CROP_PCT = Flag('--crop-pct', dict(
    type=float, metavar='SHARE',
    help="for class folders: the crop as a fraction of the short side (default: the config's, 0.875)"),
    effect=set_image_size, needs_model=True)

TESTING = (DETECTIONS, OUT, per_class, reference, SAVE_DETECTIONS, report, FUSE, ENGINE, DTYPE, CALIBRATION, show_dir,
           SHOW_SCORE, views, views_at_once, IMG_SIZE, CROP_PCT, tta, SKIP_UNREADABLE)
FLAGS = (*SHARED, *TESTING)


def apply_test_flags(config: Config, **values: object) -> None:
    """Applies flags of a test to a config, without a command line.

    Args:
        config: changed in place.
        values: the values of flags; ``--img-size 320`` is ``img_size=320``.

    Raises:
        UserError: the config's task does not support a flag, or a folder is not writable.
    """
    apply_flags(TESTING, config, with_defaults(FLAGS, values))
