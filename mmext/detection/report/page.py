"""Makes the HTML page of an analysis."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from markupsafe import Markup

from mmext.detection.evaluation import NAMES
from mmext.detection.report import plots
from mmext.detection.report.analysis import IOUS, Analysis
from mmext.detection.report.confusion import most_confused, submatrix, top_confusions
from mmext.detection.report.pictures import Pair, choose, draw_pair
from mmext.detection.report.svg import inline_svg
from mmext.figures import Curve, curve_of
from mmext.screen import bar
from mmext.text import printable

PICTURES = 6  # best images, and as many worst ones
MAX_CLASSES = 100  # that have a plot of their own, or a row of the confusion matrix
TEMPLATES = Path(__file__).parent / 'template'
MEANINGS = dict(zip(NAMES, (
    'mean of IoU .50 to .95', 'IoU .50', 'IoU .75', 'objects below 32² pixels', '32² to 96² pixels', 'above 96² pixels',
    '1 detection an image', '10 detections', '100 detections', 'below 32² pixels', '32² to 96² pixels',
    'above 96² pixels')))
ERROR_MEANINGS = {
    'Cls': 'the right place, the wrong class', 'Loc': 'the right class, IoU between .1 and .5',
    'Both': 'the wrong class, IoU between .1 and .5', 'Dupe': 'an object that a stronger detection has already found',
    'Bkg': 'IoU with every object below .1', 'Miss': 'no detection, not even a wrong one of the kinds above'}
# The training's plots: title -> mode and label of the axis, and the label of each quantity by its name in the log.
TRAINING = {
    'Loss': ('train', 'loss', {'loss': 'total', 'loss_cls': 'classes', 'loss_bbox': 'boxes'}),
    'Validation loss': ('val', 'validation loss', {'val_loss': 'total', 'val_loss_cls': 'classes',
                                                   'val_loss_bbox': 'boxes'}),
    'Learning rate': ('train', 'learning rate', {'lr': 'learning rate'}),
    'Validation': ('val', 'AP', {'coco/AP': 'AP', 'coco/AP50': 'AP50', 'coco/AP75': 'AP75', 'coco/bbox_mAP': 'AP',
                                 'coco/bbox_mAP_50': 'AP50', 'coco/bbox_mAP_75': 'AP75'}),
}


def percent(value: float | None) -> str:
    """A fraction of 1 in percent, '69.44'; '–' if there is nothing to measure."""
    return '–' if value is None or value < 0 else f'{100 * value:.2f}'


def points(value: float | None, other: float | None) -> str:
    """The difference of two fractions in percentage points, '+1.54'; '–' if one of them is not there."""
    if value is None or other is None or min(value, other) < 0:
        return '–'
    return f'{100 * (value - other):+.2f}'.replace('-', '−')


def render(title: str, analysis: Analysis, image_root: Path, paper: dict | None, note: str,
           history: Sequence[dict]) -> str:
    """The HTML of the page.

    Args:
        title: the heading.
        analysis: the numbers.
        image_root: the folder that the file names of images start from.
        paper: ``source`` and ``metrics`` of a paper, to be shown beside the metrics; None for none.
        note: a remark about that paper's metrics.
        history: records of a training, see ``training_section``; without them the page has no such section.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(percent=percent, printable=printable)
    return environment.get_template('page.html').render(
        title=printable(title), analysis=analysis, paper=paper, note=note, metrics=metric_rows(analysis.metrics, paper),
        objects=sum(cls.objects for cls in analysis.classes),
        detections=sum(cls.detections for cls in analysis.classes),
        **error_section(analysis), **curve_section(analysis), **confusion_section(analysis),
        **calibration_section(analysis), **picture_section(analysis, image_root),
        training=training_section(history)) + '\n'


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
    frequent = sorted(present, key=lambda i: (-analysis.classes[i].objects, i))[:MAX_CLASSES]
    small = []
    for i in bar('report: curves', 'class', sorted(frequent)):
        cls = analysis.classes[i]
        alt_of_class = f'Precision against recall of {cls.name} for each IoU; AP {percent(cls.ap)}'
        small.append((cls, inline_svg(f'pr{i}', alt_of_class, (170, 150), lambda figure, i=i: plots.class_curves(
            figure, analysis.precision[:, :, i], analysis.recalls))))
    return dict(ap_by_iou=by_iou, class_curves=small, curves_left_out=len(present) - len(small), mean_curves=inline_svg(
        'pr', alt, (380, 360), lambda figure: plots.mean_curves(figure, mean, analysis.recalls)))


def confusion_section(analysis: Analysis) -> dict:
    """The confusion matrix of all classes, or of those most often confused, and the most frequent confusions."""
    names = [cls.name for cls in analysis.classes]
    shown = most_confused(analysis.confusion, MAX_CLASSES)
    counts = submatrix(analysis.confusion, shown)
    labels = [names[i] for i in shown] + ['background']
    side = 330 if len(labels) <= 12 else 130 + 11 * len(labels)
    alt = f'Confusion matrix of {len(shown)} classes and background; the table has the most frequent confusions'
    heat = inline_svg('confusion', alt, (side + 50, side), lambda figure: plots.heat_map(figure, counts, labels),
                      grow=1.3)
    return dict(confusions=top_confusions(analysis.confusion, names), heat_map=heat, heat_width=side,
                heat_left_out=len(names) - len(shown))


def calibration_section(analysis: Analysis) -> dict:
    """The reliability diagram."""
    alt = ('Reliability diagram: of detections with a score, the share that is right; expected calibration error '
           f'{percent(analysis.calibration["ece"])} %')
    return dict(reliability=inline_svg('reliability', alt, (380, 330), lambda figure: plots.reliability(
        figure, analysis.calibration['bins'])))


def picture_section(analysis: Analysis, image_root: Path) -> dict:
    """The images with the best and the worst F1, and which of them could not be read."""
    best, worst = choose(analysis.images, PICTURES)
    pairs = [draw_pair(image_root, result) for result in bar('report: images', 'image', [*worst, *best])]
    groups: list[tuple[str, list[Pair]]] = [('Worst', pairs[:len(worst)]), ('Best', pairs[len(worst):])]
    return dict(groups=groups, problems=[pair.problem for pair in pairs if pair.problem])


def training_curves(history: Sequence[dict]) -> dict[str, dict[str, Curve]]:
    """The curves of each plot of ``TRAINING``: title -> label -> (iterations, values), as far as they were logged.

    Args:
        history: as ``engine.log.read_scalars`` returns it.
    """
    found: dict[str, dict[str, Curve]] = {}
    for title, (mode, _, labels) in TRAINING.items():
        for key, label in labels.items():
            curve = curve_of(history, key, mode, finite=True)
            if curve[0]:
                found.setdefault(title, {})[label] = curve
    return found


def training_section(history: Sequence[dict]) -> list[tuple[str, Markup]]:
    """(title, plot) of loss, learning rate and AP over the training; see ``training_curves``."""
    plotted = []
    for title, curves in training_curves(history).items():
        _, ylabel, _ = TRAINING[title]
        share = ylabel == 'AP'
        last = ', '.join(f'{label} {(100 if share else 1) * y[-1]:.4g}' for label, (_, y) in curves.items())
        plotted.append((title, inline_svg(
            f'training-{ylabel.replace(" ", "-")}', f'{title} against iterations; at the end: {last}', (360, 260),
            lambda figure, curves=curves, ylabel=ylabel, share=share: plots.training_curves(
                figure, curves, ylabel, share))))
    return plotted
