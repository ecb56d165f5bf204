"""The errors of training and validation in one panel, read back from the figure's lines."""

from __future__ import annotations

import pytest

from mmext.analysis.curves import Run
from mmext.analysis.error_curves import make_figure, training_error, validation_error
from mmext.errors import UserError


def run(name: str, trained: str = 'accuracy', **metrics: list[float]) -> Run:
    """Two epochs of two training records with accuracies 0.1, 0.3 and 0.5, 0.9, and a validation after each."""
    records = []
    for epoch, pair in enumerate(([0.1, 0.3], [0.5, 0.9]), 1):
        records += [{'mode': 'train', 'epoch': epoch, 'iter': 2 * epoch - 1 + i, 'epochs_done': epoch - 0.5 + 0.5 * i,
                     'loss': 1.0, trained: value} for i, value in enumerate(pair)]
        records.append({'mode': 'val', 'epoch': epoch, 'iter': 2 * epoch, 'epochs_done': float(epoch), 'step': epoch,
                        **{key: values[epoch - 1] for key, values in metrics.items()}})
    return Run(name, records)


@pytest.mark.parametrize('trained', ['accuracy', 'top1_acc'])
@pytest.mark.parametrize('metrics', [{'accuracy/top1': [0.2, 0.6]},
                                     {'accuracy/error1': [0.8, 0.4], 'accuracy/top1': [0, 0]}])
def test_the_errors_of_each_epoch(trained: str, metrics: dict) -> None:
    one = run('a', trained, **metrics)
    epochs, errors = training_error(one)
    assert (epochs, errors) == ([1, 2], pytest.approx([0.8, 0.3]))
    epochs, errors = validation_error(one)
    assert (epochs, errors) == ([1, 2], pytest.approx([0.8, 0.4]))


def test_one_colour_a_network_and_two_styles() -> None:
    runs = [run(name, **{'accuracy/top1': [0.2, 0.6]}) for name in ('old_seed0', 'old_seed1', 'new_seed0')]
    figure = make_figure(runs)
    axes, = figure.axes
    lines = axes.get_lines()
    colours = [line.get_color() for line in lines]
    assert colours[0] == colours[1] == colours[2] == colours[3] != colours[4] == colours[5]
    widths = [line.get_linewidth() for line in lines]
    assert all(training < validation for training, validation in zip(widths[::2], widths[1::2]))
    assert [line.is_dashed() for line in lines] == [True, False] * 3
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        'old', 'new', 'validation', 'training, on augmented batches']
    assert axes.get_ylabel() == 'top-1 error' and axes.get_xlabel() == 'epoch'


def test_a_run_without_accuracy_is_refused() -> None:
    with pytest.raises(UserError, match='--error: no accuracy/error1 or accuracy/top1 of an epoch in the log of ssd'):
        make_figure([run('a', **{'accuracy/top1': [0.2, 0.6]}), run('ssd', **{'coco/AP': [0.1, 0.2]})])
