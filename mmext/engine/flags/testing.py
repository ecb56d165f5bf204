"""The flags of a test."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from mmext.engine.flags.flag import Flag, apply_flags, flag, with_defaults
from mmext.engine.flags.shared import SHARED
from mmext.errors import UserError

if TYPE_CHECKING:
    from mmengine.config import Config

VIEWS_AT_ONCE = 10
DETECTIONS = Flag('--detections', dict(metavar='FILE', help="evaluate these, in COCO's result format, without a model"),
                  docs='in place of a checkpoint: evaluates a file of detections, without the model')
OUT = Flag('--out', dict(nargs='+', action='extend', default=[], metavar='FILE',
                         help='write the metrics there: *.json, *.md or both'), shown='--out FILE ...',
           docs='the metrics as `.json` (fractions of 1, unrounded, -1 where there is nothing to measure) and as '
           '`.md`, a table for a paper')
SAVE_DETECTIONS = Flag('--save-detections', dict(
    metavar='FILE', help='keep the detections there (default: <work dir>/detections.json)'), needs_model=True,
    docs='where the detections are kept; `<work dir>/detections.json` if it is not given')
FUSE = Flag('--fuse', dict(
    action='store_true', help='fold batch norms into convolutions, compare the outputs, and tell the speed-up'),
    needs_model=True)
SHOW_SCORE = Flag('--show-score', dict(
    type=float, default=0.3, metavar='SCORE',
    help='least score of a detection to be drawn in --show-dir and --report (default: %(default)s)'),
    docs='least score of a detection to be drawn in `--show-dir` and `--report` (0.3 by default)')
SKIP_UNREADABLE = Flag('--skip-unreadable', dict(
    action='store_true', help='go on where images or videos are missing or unreadable, with black ones in their place'),
    needs_model=True)


@flag('--per-class', action='store_true', help='AP and counts of each class',
      docs='AP, AP50 and AP75 of each class, and how many images and objects it has; of a classifier or recognizer, '
      'its accuracy')
def per_class(config: Config, value: bool, given: argparse.Namespace) -> None:
    """UserError where the config's metric has no argument ``per_class``."""
    from mmext.components import arguments, find_component
    from mmext.task import task_of

    metric = task_of(config).metric_of(config)
    if 'per_class' not in arguments(find_component(metric.type, config.get('default_scope'), 'METRICS')):
        raise UserError(f'--per-class: {metric.type} does not offer it; need a test_evaluator that does, such as '
                        'mmext.CocoMetric, mmext.Accuracy or mmext.ActionAccuracy')
    metric.per_class = True


@flag('--reference', action='store_true',
      help='evaluate with pycocotools, which gives the same numbers as hotcoco in more time',
      docs='pycocotools evaluates')
def reference(config: Config, value: bool, given: argparse.Namespace) -> None:
    """UserError where the config has no detections of boxes."""
    from mmext.task import task_of

    task_of(config).detection_metric(config, '--reference').reference = True


@flag('--report', metavar='DIR', help='write DIR/index.html: metrics, curves, errors, confusion, calibration, pictures '
      'of a detector', docs='`DIR/index.html`, one page about a detector that needs no network')
def report(config: Config, folder: str, given: argparse.Namespace) -> None:
    """UserError where there is no report of the config's task, or the folder can't be written."""
    from mmext.task import task_of

    task_of(config).require_report(config, folder)


@flag('--show-dir', metavar='DIR', needs_model=True,
      help='draw every image there, ground truth beside detections; or some videos, right and wrong')
def show_dir(config: Config, folder: str, given: argparse.Namespace) -> None:
    """UserError where nothing draws results of the config's task, or the folder can't be written."""
    from mmext.files import require_writable
    from mmext.task import task_of

    config.default_hooks.visualization = task_of(config).drawing_hook(config, folder, given.show_score)
    require_writable(folder, '--show-dir')


@flag('--views', metavar='CLIPSxCROPS', needs_model=True, help="of a video: 10x3, or 1x1 (default: the config's)")
def views(config: Config, value: str, given: argparse.Namespace) -> None:
    """See ``Task.set_views``."""
    from mmext.task import task_of

    task_of(config).set_views(config, value)


@flag('--views-at-once', type=int, metavar='N', default=VIEWS_AT_ONCE, always=True,
      help='views of a video that go through the network together (default: %(default)s); fewer need less memory',
      docs=f'views of a video that go through the network together, {VIEWS_AT_ONCE} by default; fewer need less memory '
      'and give the same scores')
def views_at_once(config: Config, value: int, given: argparse.Namespace) -> None:
    """See ``Task.limit_views``."""
    from mmext.task import task_of

    task_of(config).limit_views(config, value)


def set_image_size(config: Config, value: float, given: argparse.Namespace) -> None:
    """See ``Task.set_image_size``; both flags together are one change."""
    from mmext.task import task_of

    task_of(config).set_image_size(config, given.img_size, given.crop_pct)


IMG_SIZE = Flag('--img-size', dict(
    type=int, metavar='N', help="of class folders: the side of the centre crop, such as 320 (default: the config's)"),
    effect=set_image_size, needs_model=True)
CROP_PCT = Flag('--crop-pct', dict(
    type=float, metavar='SHARE',
    help="of class folders: the crop's share of the short side (default: the config's, 0.875)"),
    effect=set_image_size, needs_model=True)

TESTING = (DETECTIONS, OUT, per_class, reference, SAVE_DETECTIONS, report, FUSE, show_dir, SHOW_SCORE, views,
           views_at_once, IMG_SIZE, CROP_PCT, SKIP_UNREADABLE)
FLAGS = (*SHARED, *TESTING)


def apply_test_flags(config: Config, **values: object) -> None:
    """Applies flags of a test to a config, without a command line.

    Args:
        config: changed in place.
        values: of flags, as ``--img-size 320`` gives ``img_size=320``.

    Raises:
        UserError: the config's task has no such thing, or a folder can't be written.
    """
    apply_flags(TESTING, config, with_defaults(FLAGS, values))
