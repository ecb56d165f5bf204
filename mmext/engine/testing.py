"""The flags of a test, and the test of a file of detections, which needs no model."""

from __future__ import annotations

import os
from pathlib import Path

from mmengine.config import Config, ConfigDict

from mmext.engine.components import find_component
from mmext.engine.config import datasets_of
from mmext.engine.log import read_scalars
from mmext.errors import UserError
from mmext.files import require_target, require_writable

BOXES = 'mmext.CocoMetric'
SHARES = ('mmext.Accuracy', 'mmext.ActionAccuracy')
SAME_IN_OURS = ('ann_file', 'outfile_prefix', 'collect_device', 'prefix')


def metric_of(config: Config) -> ConfigDict:
    """The metric of the test, as the config describes it; of several the first of ours, which the flags are for.

    mmdet's CocoMetric of boxes becomes ours, in place: the same metrics, unrounded and with their names in papers.

    Raises:
        UserError: the config has none.
    """
    given = config.get('test_evaluator')
    metrics = given if isinstance(given, list) else [given]
    if not metrics or not all(isinstance(metric, dict) and 'type' in metric for metric in metrics):
        raise UserError('test_evaluator: need a metric, a dict with a type')
    for metric in metrics:
        if is_of_mmdet(config, metric):
            take_our_form(metric)
    return next((metric for metric in metrics if metric.type in (BOXES, *SHARES)), metrics[0])


def is_of_mmdet(config: Config, metric: dict) -> bool:
    scope = metric.get('_scope_', config.get('default_scope'))
    return metric['type'] == 'mmdet.CocoMetric' or metric['type'] == 'CocoMetric' and scope == 'mmdet'


def take_our_form(metric: ConfigDict) -> None:
    """Makes mmdet's CocoMetric ours, where it asks for the metrics of boxes and nothing else."""
    known = ('type', '_scope_', 'metric', 'classwise', *SAME_IN_OURS)
    other = [key for key, value in metric.items() if value and key not in known]
    if not other and metric.get('metric', 'bbox') in ('bbox', ['bbox']) and metric.get('ann_file'):
        kept = {key: metric[key] for key in SAME_IN_OURS if key in metric}
        per_class = metric.get('classwise', False)
        metric.clear()
        metric.update(kept, type=BOXES, per_class=per_class)


def apply_test_flags(config: Config, *, per_class: bool = False, reference: bool = False, views: str | None = None,
                     img_size: int | None = None, crop_pct: float | None = None, show_dir: str | None = None,
                     show_score: float = 0.3, page: str | None = None) -> None:
    """Writes the flags of ``tools/test.py`` of the same names into a config, and checks ``--report`` (``page``).

    Raises:
        UserError: the config's task has no such thing, or the folder can't be written.
    """
    metric = metric_of(config)
    if per_class:
        if metric.type not in (BOXES, *SHARES):
            raise UserError(f'--per-class: {metric.type} does not offer it; need a test_evaluator of {BOXES}, '
                            f'{" or ".join(SHARES)}')
        metric.per_class = True
    if reference:
        require_boxes(config, '--reference')
        metric.reference = True
    if page:
        from mmext.detection.report import require_report
        require_boxes(config, '--report')
        require_report(page)
    if show_dir:
        config.default_hooks.visualization = drawing_hook(metric, show_dir, show_score)
        require_writable(show_dir, '--show-dir')
    if views:
        from mmext.video.views import set_views
        set_views(config, views)
    if img_size is not None or crop_pct is not None:
        from mmext.classification.image_size import set_image_size
        set_image_size(config, img_size, crop_pct)


def drawing_hook(metric: dict, folder: str, score: float) -> dict:
    """The config of what draws the results that a metric measures. UserError where nothing does."""
    if metric['type'] == BOXES:
        return dict(type='mmext.ShowDetectionsHook', out_dir=os.path.abspath(folder), score_thr=score)
    if metric['type'] == 'mmext.ActionAccuracy':
        return dict(type='mmext.ShowVideosHook', out_dir=os.path.abspath(folder))
    raise UserError('--show-dir: it draws detections and videos, and this config has none')


def require_boxes(config: Config, option: str) -> ConfigDict:
    """The metric of a detector. UserError where the config has another."""
    metric = metric_of(config)
    if metric.type != BOXES:
        raise UserError(f'{option}: it is for detections of boxes; need a test_evaluator of {BOXES}, or of '
                        f'mmdet.CocoMetric with the metric bbox alone, and this config has {metric.type}')
    return metric


def keep_detections(config: Config, path: str | None, default: str) -> str | None:
    """Has a test of a detector keep its detections.

    Args:
        config: changed in place. A ``detections_file`` in it is an earlier test's, and replaced.
        path: of the file, from ``--save-detections``.
        default: where they go if ``path`` is None and the config has no ``outfile_prefix``.

    Returns:
        The file's path; None where ``path`` is, and the config's task has no detections.

    Raises:
        UserError: a path is given where nothing is detected, or the file can't be written.
    """
    metric = require_boxes(config, '--save-detections') if path else metric_of(config)
    if metric.type != BOXES:
        return None
    prefix = metric.get('outfile_prefix')
    metric.detections_file = path or (f'{prefix}.bbox.json' if prefix else default)
    require_target(metric.detections_file, '--save-detections')
    return metric.detections_file


def evaluate_file(config: Config, path: str) -> dict[str, float]:
    """Evaluates a file in COCO's result format; the config gives annotation file and classes, no model is built.

    Returns:
        The metrics, under the names that ``run.test`` gives them.

    Raises:
        UserError: the config is not a detector's, or the file is missing or malformed.
    """
    from mmext.registry import METRICS

    metric = METRICS.build(require_boxes(config, '--detections'))
    metric.dataset_meta = dict(classes=classes_of(config))
    return metric.evaluate_file(path)


def write_page(config: Config, folder: str, title: str, detections: str, metrics: dict[str, float], run: Path,
               score: float) -> Path:
    """Writes ``--report``'s page from what a test has left.

    Args:
        config: of the test.
        folder: gets the page.
        title: its heading.
        detections: their file.
        metrics: the twelve, as they were printed.
        run: the folder of the training, whose curves are drawn if it holds a log.
        score: the least score of detections in pictures and confusion matrix.

    Returns:
        The page's file.

    Raises:
        UserError: a file has become unreadable.
    """
    from mmext.detection.detections import read_detections
    from mmext.detection.evaluation import read_ground_truth
    from mmext.detection.report import paper_row, write_report

    annotations = require_boxes(config, '--report').ann_file
    truth = read_ground_truth(annotations).of_classes(classes_of(config))
    dataset = datasets_of(config, 'test_dataloader')[0]
    images = os.path.join(dataset.get('data_root') or '', dataset.get('data_prefix', {}).get('img', ''))
    try:
        history = read_scalars(run)
    except UserError:  # a checkpoint from elsewhere has no curves
        history = []
    return write_report(folder, title, annotations, images, read_detections(detections, truth), metrics=metrics,
                        category_ids=truth.category_ids, paper=paper_row(config.get('model', {})), history=history,
                        score=score, data_root=dataset.get('data_root') or '')


def classes_of(config: Config) -> tuple[str, ...]:
    """The names of the classes of the test set: the config's, or the data set's own."""
    datasets = datasets_of(config, 'test_dataloader')
    if not datasets:
        raise UserError('test_dataloader: it has no data set, which names the classes')
    dataset = datasets[0]
    component = find_component(dataset['type'], config.get('default_scope'))
    classes = {**getattr(component, 'METAINFO', {}), **(dataset.get('metainfo') or {})}.get('classes')
    if not classes:
        raise UserError(f'test_dataloader.dataset: {dataset["type"]} names no classes; give --classes auto')
    return tuple(classes)
