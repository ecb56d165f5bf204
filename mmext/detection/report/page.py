"""Makes the HTML page of an analysis."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmext.detection.evaluation import NAMES
from mmext.detection.report import plots
from mmext.detection.report.analysis import IOUS, Analysis
from mmext.detection.report.pictures import Pair, choose, draw_pair
from mmext.report import page
from mmext.report.page import percent, points
from mmext.report.sections import (
    LEARNING_RATE,
    TrainingPlot,
    calibration_section,
    confusion_section,
    training_section,
)
from mmext.report.svg import inline_svg
from mmext.screen import bar

PICTURES = 6  # best images, and as many worst ones
MAX_CURVES = 100  # classes that have a plot of their own
TEMPLATES = Path(__file__).parent / 'template'
MEANINGS = dict(zip(NAMES, (
    'mean of IoU .50 to .95', 'IoU .50', 'IoU .75', 'objects below 32² pixels', '32² to 96² pixels', 'above 96² pixels',
    '1 detection an image', '10 detections', '100 detections', 'below 32² pixels', '32² to 96² pixels',
    'above 96² pixels')))
ERROR_MEANINGS = {
    'Cls': 'the right place, the wrong class', 'Loc': 'the right class, IoU between .1 and .5',
    'Both': 'the wrong class, IoU between .1 and .5', 'Dupe': 'an object that a stronger detection has already found',
    'Bkg': 'IoU with every object below .1', 'Miss': 'no detection, not even a wrong one of the kinds above'}
# The training's plots by their titles.
TRAINING = {
    'Loss': TrainingPlot('train', 'loss', {'loss': 'total', 'loss_cls': 'classes', 'loss_bbox': 'boxes'}),
    'Validation loss': TrainingPlot('val', 'validation loss', {
        'val_loss': 'total', 'val_loss_cls': 'classes', 'val_loss_bbox': 'boxes'}),
    'Learning rate': LEARNING_RATE,
    'Validation': TrainingPlot('val', 'AP', {
        'coco/AP': 'AP', 'coco/AP50': 'AP50', 'coco/AP75': 'AP75', 'coco/bbox_mAP': 'AP', 'coco/bbox_mAP_50': 'AP50',
        'coco/bbox_mAP_75': 'AP75'}, share=True),
}


def render(title: str, analysis: Analysis, image_root: Path, paper: dict | None, note: str,
           history: Sequence[dict]) -> str:
    """The HTML of the page.

    Args:
        title: the heading.
        analysis: the numbers.
        image_root: the folder that the file names of images start from.
        paper: ``source`` and ``metrics`` of a paper, to be shown beside the metrics; None for none.
        note: a remark about that paper's metrics.
        history: records of a training, see ``sections.training_curves``; without them the page has no such section.
    """
    names = [cls.name for cls in analysis.classes]
    calibration = calibration_section(analysis.calibration['bins'], analysis.calibration['ece'], 'detections')
    return page.render(
        TEMPLATES, title, analysis=analysis, paper=paper, note=note, metrics=metric_rows(analysis.metrics, paper),
        objects=sum(cls.objects for cls in analysis.classes),
        detections=sum(cls.detections for cls in analysis.classes),
        **error_section(analysis), **curve_section(analysis),
        **confusion_section(analysis.confusion, names, 'detected as', ['background']), **calibration,
        **picture_section(analysis, image_root), training=training_section(history, TRAINING))


def metric_rows(metrics: dict[str, float], paper: dict | None) -> list[tuple[str, ...]]:
    """The rows of the table of metrics as text: name, meaning, this model, the paper, difference."""
    printed = paper['metrics'] if paper else {}
    return [(name, MEANINGS[name], percent(metrics[name]), percent(printed.get(name)),
             points(metrics[name], printed.get(name))) for name in NAMES]


def error_section(analysis: Analysis) -> dict:
    """The plot and the table of the types of errors."""
    lost = analysis.errors['delta_ap']
    rows = [(name, ERROR_MEANINGS[kind], analysis.errors['counts'][kind], f'{100 * lost[kind]:.2f}')
            for kind, name in plots.ERRORS.items()]
    alt = 'AP50 lost by type of error, in points: ' + ', '.join(f'{name} {value}' for name, _, _, value in rows)
    plot = inline_svg('errors', alt, (380, 230), lambda figure: plots.error_bars(figure, lost))
    return dict(error_rows=rows, error_plot=plot)


def curve_section(analysis: Analysis) -> dict:
    """Curves of precision over recall: the mean over classes, and small ones of the most frequent classes."""
    present = [i for i, cls in enumerate(analysis.classes) if cls.objects]
    mean = analysis.precision[:, :, present].mean(2) if present else np.zeros(analysis.precision.shape[:2])
    by_iou = [(f'{iou:.2f}', percent(float(curve.mean()))) for iou, curve in zip(IOUS, mean)]
    alt = 'Precision against recall, mean of the classes, for each IoU; AP: ' + ', '.join(
        f'{value} at {iou}' for iou, value in by_iou)
    frequent = sorted(present, key=lambda i: (-analysis.classes[i].objects, i))[:MAX_CURVES]
    small = []
    for i in bar('report: curves', 'class', sorted(frequent)):
        cls = analysis.classes[i]
        alt_of_class = f'Precision against recall of {cls.name} for each IoU; AP {percent(cls.ap)}'
        small.append((cls, inline_svg(f'pr{i}', alt_of_class, (170, 150), lambda figure, i=i: plots.class_curves(
            figure, analysis.precision[:, :, i], analysis.recalls))))
    return dict(ap_by_iou=by_iou, class_curves=small, curves_left_out=len(present) - len(small), mean_curves=inline_svg(
        'pr', alt, (380, 360), lambda figure: plots.mean_curves(figure, mean, analysis.recalls)))


def picture_section(analysis: Analysis, image_root: Path) -> dict:
    """The images with the best and the worst F1, and which of them could not be read."""
    best, worst = choose(analysis.images, PICTURES)
    pairs = [draw_pair(image_root, result) for result in bar('report: images', 'image', [*worst, *best])]
    groups: list[tuple[str, list[Pair]]] = [('Worst', pairs[:len(worst)]), ('Best', pairs[len(worst):])]
    return dict(groups=groups, problems=[pair.problem for pair in pairs if pair.problem])
