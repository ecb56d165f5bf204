"""Training and validation error of several networks in one panel, as in the figures 4 to 6 of the iResNet paper."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from mmext.analysis.curves import Run
from mmext.analysis.runs import recipe_of
from mmext.errors import UserError, shorten
from mmext.figures import Curve, finish_panel, is_number, line_styles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRAINED = ('accuracy', 'top1_acc')  # of the batches of a training, as classifiers and recognizers log it
ERROR, ACCURACY = 'accuracy/error1', 'accuracy/top1'
TRAINING, VALIDATION = (0, (4, 1.5)), '-'


def training_error(run: Run) -> Curve:
    """(epochs, errors): 1 - accuracy of the batches of each epoch, averaged over its records, at the end of the epoch.

    Our configs log the mean over 50 batches; with others a record is of one batch, and the curve is noisier.
    It is measured on augmented images while the weights change, so it can be above the error of the validation.
    """
    found: dict[float, list[float]] = defaultdict(list)
    for record in run.records:
        key = next((key for key in TRAINED if is_number(record.get(key))), None)
        if record['mode'] == 'train' and key and 'epoch' in record:
            found[record['epoch']].append(1 - record[key])
    return list(found), [fmean(errors) for errors in found.values()]


def validation_error(run: Run) -> Curve:
    """(epochs, errors) of the validations."""
    points = [(record['epochs_done'], record[ERROR] if is_number(record.get(ERROR)) else 1 - record[ACCURACY])
              for record in run.records if record['mode'] == 'val' and 'epochs_done' in record
              and (is_number(record.get(ERROR)) or is_number(record.get(ACCURACY)))]
    return [epoch for epoch, _ in points], [error for _, error in points]


def make_figure(runs: Sequence[Run]) -> Figure:
    """Draws the top-1 error of runs: validation solid, training thin and dashed, one colour for each recipe.

    Runs that differ only in their seeds have the same colour.

    Returns:
        A matplotlib figure that pyplot does not know of.

    Raises:
        UserError: a run has no validation with an accuracy, or does not count epochs.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.ticker import MaxNLocator

    curves = {run.name: (training_error(run), validation_error(run)) for run in runs}
    without = [name for name, (_, (epochs, _)) in curves.items() if not epochs]
    if without:
        raise UserError(f'--error: no {ERROR} or {ACCURACY} of an epoch in the log of {shorten(without)}; use --keys '
                        'for other quantities')
    recipes = list(dict.fromkeys(recipe_of(run.name) for run in runs))
    colours = {recipe: colour for recipe, (colour, _) in zip(recipes, line_styles(len(recipes)))}
    figure = Figure(figsize=(7.2, 4.6 + 0.2 * len(recipes)), layout='constrained')
    axes = figure.add_subplot()
    for name, (training, validation) in curves.items():
        colour = colours[recipe_of(name)]
        for (epochs, errors), dash, width in ((training, TRAINING, 0.9), (validation, VALIDATION, 1.5)):
            axes.plot(epochs, errors, color=colour, linestyle=dash, linewidth=width,
                      marker='o' if len(epochs) == 1 else None, markersize=3.5)
    drawn = [error for pair in curves.values() for _, errors in pair for error in errors if math.isfinite(error)]
    finish_panel(axes, drawn, share=True)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel('epoch', color='0.3')
    axes.set_ylabel('top-1 error', color='0.3')
    lines = [Line2D([], [], color=colours[recipe], linewidth=2) for recipe in recipes]
    styles = [Line2D([], [], color='0.4', linestyle=VALIDATION, linewidth=1.5),
              Line2D([], [], color='0.4', linestyle=TRAINING, linewidth=0.9)]
    figure.legend([*lines, *styles], [*recipes, 'validation', 'training, on augmented batches'], frameon=False,
                  loc='outside upper left', fontsize=9, ncols=1 if max(map(len, recipes)) > 40 else 2)
    return figure
