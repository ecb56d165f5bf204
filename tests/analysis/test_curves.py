"""What is drawn, read back from the figure's lines, and the arithmetic behind it."""

from __future__ import annotations

import math
from pathlib import Path

import matplotlib.colors
import numpy as np
import pytest
from matplotlib.figure import Figure

from mmext.analysis.curves import Run, choose_keys, make_figure, read_runs
from mmext.errors import UserError
from mmext.figures import COLOURS, smoothed
from tests.engine.test_log import train, write


def run(name: str = 'a', epochs: int = 4, **metrics: list[float]) -> Run:
    """Two training records an epoch of 8 iterations, and a validation after it."""
    records = []
    for epoch in range(1, epochs + 1):
        for iteration in (8 * epoch - 4, 8 * epoch):
            records.append(dict(mode='train', loss=10 / iteration, lr=0.1, time=1.0, epoch=epoch, iter=iteration,
                                step=iteration, epochs_done=iteration / 8))
        records.append({'mode': 'val', 'time': 2.0, 'epoch': epoch, 'iter': 8 * epoch, 'step': epoch,
                        'epochs_done': float(epoch), **{key: values[epoch - 1] for key, values in metrics.items()}})
    return Run(name, records)


def ssd(name: str = 'ssd') -> Run:
    return run(name, **{'coco/AP': [0.1, 0.2, 0.3, 0.4], 'coco/AP50': [0.2, 0.3, 0.4, 0.5], 'coco/APs': [-1.0] * 4,
                        'coco/AR1': [0.5, -1.0, 0.6, 0.7]})


def drawn(figure: Figure) -> dict[str, list[tuple[list, list]]]:
    """Panel -> the points of each of its lines."""
    return {axes.get_title(loc='left'): [tuple(map(list, line.get_data())) for line in axes.get_lines()]
            for axes in figure.axes}


def test_what_is_drawn() -> None:
    found = drawn(make_figure([ssd()], ['loss', 'coco/AP', 'time', 'coco/AR1', 'coco/APs']))
    iterations = [4, 8, 12, 16, 20, 24, 28, 32]
    assert found == {
        'loss': [([i / 8 for i in iterations], [10 / i for i in iterations])],
        'coco/AP': [([1, 2, 3, 4], [0.1, 0.2, 0.3, 0.4])],
        'time': [([i / 8 for i in iterations], [1.0] * 8)],  # the training's, though validations have one too
        'coco/AR1': [([1, 3, 4], [0.5, 0.6, 0.7])],  # -1: nothing to measure
        'coco/APs': [([], [])]}


def test_runs_side_by_side() -> None:
    """Each in a style of its own, the same in all panels and in the legend; a run without the key is no line."""
    runs = [ssd('first'), run('second', epochs=2, **{'accuracy/top1': [0.5, 0.6]}), ssd('third')]
    make_figure([*runs, Run('fourth', [dict(mode='train', time=1.0, iter=1, step=1)])], ['loss'], smooth=1.0)
    figure = make_figure(runs, ['loss', 'accuracy/top1', 'coco/AP'])
    legend = figure.legends[0]
    assert [text.get_text() for text in legend.get_texts()] == ['first', 'second', 'third']
    styles = [(line.get_color(), line._unscaled_dash_pattern) for line in legend.get_lines()]
    assert len(set(map(str, styles))) == 3
    for axes in figure.axes:
        assert [(line.get_color(), line._unscaled_dash_pattern) for line in axes.get_lines()] == styles
    lengths = {axes.get_title(loc='left'): [len(line.get_xdata()) for line in axes.get_lines()]
               for axes in figure.axes}
    assert lengths == {'loss': [8, 4, 8], 'accuracy/top1': [0, 2, 0], 'coco/AP': [4, 0, 4]}


def test_twenty_eight_runs_differ() -> None:
    lines = make_figure([ssd(str(i)) for i in range(28)], ['loss']).axes[0].get_lines()
    assert len({(line.get_color(), str(line._unscaled_dash_pattern)) for line in lines}) == 28


# Machado, Oliveira and Fernandes, 2009: full protanopia, deuteranopia and tritanopia, on linear RGB.
BLINDNESS = {
    'protan': [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    'deutan': [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    'tritan': [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]}


@pytest.mark.parametrize('blindness', BLINDNESS)
def test_colours_are_told_apart(blindness: str) -> None:
    """Any two of the palette are well above the just noticeable difference, 2.3 in CIELAB, whoever looks."""
    rgb = np.array([matplotlib.colors.to_rgb(colour) for colour in COLOURS])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(BLINDNESS[blindness]).T, 0, 1)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = seen @ to_xyz.T / to_xyz.sum(1)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    lab = np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)
    apart = np.linalg.norm(lab[:, None] - lab[None], axis=-1)[np.triu_indices(len(COLOURS), 1)]
    assert apart.min() > 8


def test_iterations_where_a_run_has_no_epochs() -> None:
    without = Run('b', [{'mode': 'train', 'loss': 1.0, 'iter': i, 'step': i} for i in (10, 20)])
    figure = make_figure([ssd(), without], ['loss'])
    assert [xs for xs, _ in drawn(figure)['loss']] == [[4, 8, 12, 16, 20, 24, 28, 32], [10, 20]]
    assert figure.axes[0].get_xlabel() == 'iteration'
    assert make_figure([ssd()], ['loss']).axes[0].get_xlabel() == 'epoch'


def test_scales() -> None:
    wide, narrow, zero = ([dict(mode='train', loss=loss, iter=i, step=i) for i, loss in enumerate(losses, 1)]
                          for losses in ((100.0, 1.0), (10.0, 1.0), (100.0, 0.0)))
    assert [make_figure([Run('a', records)], ['loss']).axes[0].get_yscale() for records in (wide, narrow, zero)] == [
        'log', 'linear', 'linear']
    axes, = make_figure([ssd()], ['coco/AP']).axes
    axes.figure.canvas.draw()
    assert {label.get_text() for label in axes.get_yticklabels()} >= {'10 %', '40 %'}


def test_smoothing_keeps_lines_straight_and_steps_over_nan() -> None:
    line = 3.0 + 2 * np.arange(50)
    middle = slice(12, -12)
    np.testing.assert_allclose(smoothed(line, 4.0)[middle], line[middle], rtol=1e-12)
    torn = line.copy()
    torn[20], torn[30] = math.nan, math.inf
    result = smoothed(torn, 1.0)
    assert math.isnan(result[20]) and math.isinf(result[30]) and np.isfinite(np.delete(result, [20, 30])).all()
    np.testing.assert_allclose(np.delete(result, [20, 30])[3:-3], np.delete(line, [20, 30])[3:-3], atol=0.8)
    # By hand: weights e^-1/2 = 0.60653 on both sides of 1, e^-2 = 0.13534 and e^-4.5 = 0.01111 further off.
    weights = 1 + 2 * (0.60653 + 0.13534 + 0.01111)
    assert smoothed([0, 0, 0, 1, 0, 0, 0], 1.0)[3] == pytest.approx(1 / weights, abs=1e-5)
    assert smoothed([1.0, 4.0], 5.0).shape == (2,)


def test_what_is_smoothed() -> None:
    """The loss, over its faint values; a learning rate and a metric are as they are."""
    found = drawn(make_figure([ssd()], ['loss', 'lr', 'coco/AP'], smooth=2.0))
    assert {key: len(lines) for key, lines in found.items()} == {'loss': 2, 'lr': 1, 'coco/AP': 1}
    (_, raw), (_, smooth) = found['loss']
    assert raw == [10 / i for i in range(4, 33, 4)] and smooth == pytest.approx(smoothed(raw, 2.0)) != raw


def test_keys() -> None:
    top1 = run(**{'accuracy/top1': [0.1] * 4, 'accuracy/top5': [0.5] * 4})
    assert choose_keys([ssd()]) == ['loss', 'lr', 'coco/AP']
    assert choose_keys([top1, ssd()]) == ['loss', 'lr', 'accuracy/top1', 'coco/AP']
    assert choose_keys([ssd(), top1], ['coco/AP50', 'accuracy/top5', 'coco/AP50']) == ['coco/AP50', 'accuracy/top5']
    assert choose_keys([Run('a', [dict(mode='train', time=1.0, iter=1, step=1)])]) == ['time']
    with pytest.raises(UserError, match=r"--keys coco/AP5: not in the log of ssd, .* did you mean 'coco/AP50'"):
        choose_keys([ssd()], ['loss', 'coco/AP5'])
    for position in ('iter', 'epoch', 'mode', 'epochs_done', 'step'):
        with pytest.raises(UserError, match=f'--keys {position}'):
            choose_keys([ssd()], [position])


def test_names(tmp_path: Path) -> None:
    for folder in ('x/run', 'y/run', 'y/other'):
        write(tmp_path / folder, '20260101_000000', [train(1, 10)])
    given = [tmp_path / 'x' / 'run', tmp_path / 'y' / 'run', tmp_path / 'y' / 'other']
    assert [run.name for run in read_runs(given)] == [str(given[0]), str(given[1]), 'other']
    assert [run.name for run in read_runs(given[1:])] == ['run', 'other']
    with pytest.raises(UserError, match=r'run: given twice; name each run once'):
        read_runs([*given, tmp_path / 'y' / '.' / 'run'])
    write(tmp_path / 'empty', '20260101_000000', [])
    with pytest.raises(UserError, match='empty: nothing was logged yet'):
        read_runs([given[0], tmp_path / 'empty'])
