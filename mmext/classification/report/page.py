"""Makes the HTML page of an analysis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from mmext.classification.report.analysis import TOP, Analysis, Sample
from mmext.errors import UserError
from mmext.report import page
from mmext.report.page import percent
from mmext.report.pictures import data_uri
from mmext.report.sections import (
    LEARNING_RATE,
    TrainingPlot,
    calibration_section,
    confusion_section,
    training_section,
)
from mmext.screen import bar
from mmext.text import printable

TEMPLATES = Path(__file__).parent / 'template'
# The training's plots by their titles, with the names in the logs of mmext's classifier and mmaction2's recognizers.
TRAINING = {
    'Loss': TrainingPlot('train', 'loss', {'loss': 'training'}),
    'Validation loss': TrainingPlot('val', 'validation loss', {'val_loss': 'validation'}),
    'Learning rate': LEARNING_RATE,
    'Accuracy of training batches': TrainingPlot('train', 'accuracy', {
        'accuracy': 'top-1', 'top1_acc': 'top-1', 'top5_acc': 'top-5'}, share=True),
    'Validation': TrainingPlot('val', 'accuracy', {
        'accuracy/top1': 'top-1', 'accuracy/top5': 'top-5', 'accuracy/mean_class': 'mean class',
        'acc/top1': 'top-1', 'acc/top5': 'top-5', 'acc/mean1': 'mean class'}, share=True),
}
# (index of a sample in the test set, its label) -> the picture of it, RGB, uint8, (height, width, 3). UserError: there
# is none that can be shown.
Draw = Callable[[int, int], np.ndarray]


@dataclass(frozen=True)
class Shown:
    """A sample and its picture as a data URI; or why it can't be shown."""

    sample: Sample
    picture: str = ''
    size: tuple[int, int] = (0, 0)
    problem: str = ''


def render(title: str, analysis: Analysis, draw: Draw, samples: str, history: Sequence[dict]) -> str:
    """The HTML of the page.

    Args:
        title: the heading.
        analysis: the numbers.
        draw: makes the picture of a sample.
        samples: what they are: 'images' or 'videos'.
        history: records of a training, see ``sections.training_curves``; without them the page has no such section.
    """
    names = [cls.name for cls in analysis.classes]
    return page.render(
        TEMPLATES, title, analysis=analysis, samples=samples, metrics=metric_rows(analysis), top=TOP,
        **confusion_section(analysis.confusion, names, 'predicted'),
        **calibration_section(analysis.bins, analysis.ece, samples), **sample_section(analysis, draw),
        training=training_section(history, TRAINING))


def metric_rows(analysis: Analysis) -> list[tuple[str, str, str]]:
    """The rows of the table of metrics as text: name, meaning, value."""
    rows: list[tuple[str, str, float | None]] = [
        ('top-1', 'the right class has the highest score', analysis.top1),
        ('top-5', 'it is among the five highest', analysis.top5), ('top-1 error', '100 − top-1', 1 - analysis.top1),
        ('mean class', 'the mean of the top-1 of the classes', analysis.mean_class),
        ('most frequent class', 'top-1 of always predicting it', analysis.most_frequent)]
    return [(name, meaning, percent(value)) for name, meaning, value in rows if value is not None]


def sample_section(analysis: Analysis, draw: Draw) -> dict:
    """The wrong and the right samples with the highest scores, and which of them could not be read."""
    shown = [show(sample, draw) for sample in bar('report: pictures', 'sample', [*analysis.worst, *analysis.best])]
    groups = [('The most confident wrong predictions', shown[:len(analysis.worst)]),
              ('The most confident right predictions', shown[len(analysis.worst):])]
    problems = [one.problem for one in shown if one.problem]
    return dict(groups=groups, problems=list(dict.fromkeys(problems)), unread=len(problems))


def show(sample: Sample, draw: Draw) -> Shown:
    """Draws one sample; if that fails, ``problem`` says why."""
    try:
        picture = Image.fromarray(draw(sample.index, sample.label))
    except UserError as error:
        return Shown(sample, problem=printable(str(error)))
    return Shown(sample, data_uri(picture), picture.size)
