"""The sections that several pages have, as values for their templates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from mmext.figures import Curve, curve_of
from mmext.report import plots
from mmext.report.confusion import condensed, most_confused, submatrix, top_confusions
from mmext.report.page import percent
from mmext.report.svg import inline_svg

MAX_CLASSES = 100  # that have a row of the confusion matrix
MATRIX_CLASSES = 40  # that have a row of it where there are more


def confusion_section(counts: np.ndarray, names: Sequence[str], xlabel: str, background: Sequence[str] = ()) -> dict:
    """The confusion matrix of all classes, or of those most often confused, and the most frequent confusions.

    Args:
        counts: rows truth, columns predictions, the last ones of background if there is one.
        names: of the classes.
        xlabel: of the columns.
        background: its name, if there is one.
    """
    shown = most_confused(counts, len(names), len(names) if len(names) <= MAX_CLASSES else MATRIX_CLASSES)
    part = submatrix(counts, len(names), shown)
    labels = [*(names[i] for i in shown), *background]
    side = 330 if len(labels) <= plots.FEW else 130 + 11 * len(labels)
    alt = (f'Confusion matrix of {len(shown)} classes{" and background" if background else ""}; the table has the most '
           'frequent confusions')
    heat = inline_svg('confusion', alt, (side + 50, side), lambda figure: plots.heat_map(figure, part, labels, xlabel),
                      grow=1.3)
    return dict(confusions=top_confusions(counts, names), heat_map=heat, heat_width=side,
                heat_left_out=len(names) - len(shown), condensed_map=condensed_plot(counts, len(names)))


def condensed_plot(counts: np.ndarray, classes: int) -> Markup | None:
    """The confusions of neighbouring classes together; None if the matrix has all classes."""
    if classes <= MAX_CLASSES:
        return None
    shares, starts = condensed(counts, classes, MAX_CLASSES)
    alt = f'Confusions of all {classes} classes, by {len(starts)} groups of neighbouring classes'
    return inline_svg('condensed', alt, (480, 540), lambda figure: plots.condensed_map(figure, shares, starts, classes),
                      grow=1.3)


def calibration_section(bins: Sequence[dict], error: float, what: str) -> dict:
    """The reliability diagram; see ``plots.reliability``. ``error`` is the expected calibration error.

    Without bins there is no diagram.
    """
    if not bins:
        return dict(reliability=None)
    alt = (f'Reliability diagram: of {what} with a score, the share that is right; expected calibration error '
           f'{percent(error)} %')
    return dict(reliability=inline_svg('reliability', alt, (380, 330), lambda figure: plots.reliability(
        figure, bins, what)))


@dataclass(frozen=True)
class TrainingPlot:
    """A plot of quantities from the log of a training.

    Attributes:
        mode: of the records: 'train' or 'val'.
        ylabel: of the axis.
        labels: the label of each quantity by its name in the log.
        share: the values are fractions of 1.
    """

    mode: str
    ylabel: str
    labels: Mapping[str, str]
    share: bool = False


LEARNING_RATE = TrainingPlot('train', 'learning rate', {'lr': 'learning rate'})


def training_curves(history: Sequence[dict], shown: Mapping[str, TrainingPlot]) -> dict[str, dict[str, Curve]]:
    """The curves of each plot: title -> label -> (iterations, values), as far as they were logged.

    Args:
        history: as ``engine.log.read_scalars`` returns it.
        shown: the plots by their titles.
    """
    found: dict[str, dict[str, Curve]] = {}
    for title, plot in shown.items():
        for key, label in plot.labels.items():
            curve = curve_of(history, key, plot.mode, finite=True)
            if curve[0]:
                found.setdefault(title, {})[label] = curve
    return found


def training_section(history: Sequence[dict], shown: Mapping[str, TrainingPlot]) -> list[tuple[str, Markup]]:
    """(title, plot) of each plot over the training that has curves; see ``training_curves``."""
    plotted = []
    for title, curves in training_curves(history, shown).items():
        plot = shown[title]
        last = ', '.join(f'{label} {(100 if plot.share else 1) * y[-1]:.4g}' for label, (_, y) in curves.items())
        name, alt = f'training-{title.replace(" ", "-").lower()}', f'{title} against iterations; at the end: {last}'
        plotted.append((title, inline_svg(name, alt, (360, 260), lambda figure, curves=curves, plot=plot:
                                          plots.training_curves(figure, curves, plot.ylabel, plot.share))))
    return plotted
