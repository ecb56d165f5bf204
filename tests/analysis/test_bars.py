"""Bars of results and of costs, read back from the figure."""

from __future__ import annotations

import pytest
from matplotlib.figure import Figure

from mmext.analysis import cost_bars
from mmext.analysis.bars import Panel, make_figure, result_panels
from mmext.analysis.complexity import Complexity
from mmext.errors import UserError


def drawn(figure: Figure) -> dict[str, list[tuple[float, float]]]:
    """Panel -> where each bar begins and ends."""
    return {axes.get_title(loc='left'): [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in axes.patches]
            for axes in figure.axes}


def numbers(figure: Figure) -> list[list[str]]:
    """The texts beside the bars of each panel."""
    return [[text.get_text() for text in axes.texts] for axes in figure.axes]


def test_results_with_errors_over_seeds() -> None:
    """94, 95, 96 have the mean 95 and the sample deviation 1; of one run there is none."""
    methods, panels = result_panels({('cifar10', 'resnet18'): [0.94, 0.95, 0.96], ('cifar10', 'rir32'): [0.96],
                                     ('svhn', 'rir32'): [0.9, 0.9]})
    assert methods == ['resnet18', 'rir32']
    figure = make_figure(methods, panels, 'what')
    assert numbers(figure) == [['95.00 ± 1.00', '96.00'], ['90.00 ± 0.00']]
    bars = drawn(figure)
    assert [end for _, end in bars['cifar10']] == pytest.approx([95, 96]) and [end for _, end in bars['svhn']] == [90]
    errors = figure.axes[0].containers[1].lines[2][0].get_segments()[0][:, 0]
    assert errors == pytest.approx([94, 96])
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == methods


def test_where_an_axis_does_not_begin_at_zero_it_says_so() -> None:
    near, far, cost = (Panel('x', values, from_zero=zero) for values, zero in (
        ([94.2, 95.1], False), ([10.0, 95.1], False), ([94.2, 95.1], True)))
    axes = make_figure(['a', 'b'], [near, far, cost]).axes
    assert [each.get_xlim()[0] for each in axes] == pytest.approx([93.9, 0, 0])
    assert [each.get_xlabel() for each in axes] == ['from 93.9, not from 0', '', '']
    assert max(axes[0].get_xticks()) <= 95.1, 'no ticks beyond the values, such as 101 %'
    equal, = make_figure(['a', 'b'], [Panel('x', [50, 50], [0, 0], from_zero=False)]).axes
    assert equal.get_xlim()[0] == 0
    none, = make_figure(['a'], [Panel('x', [None])]).axes
    assert none.texts[0].get_text() == 'no values'


def test_costs_beside_errors() -> None:
    counted = {'resnet18': Complexity(11_260_000, 0, 590_000_000),
               'cresnet15_a1': Complexity(8_470_000, 0, 460_000_000)}
    measured = cost_bars.read_measured({'resnet18': '21.42+-.19', 'cresnet15_a1': 21.49}, list(counted), '--error')
    figure = cost_bars.make_figure(counted, 'cresnet', 'error', measured, 'input 3 x 32 x 32')
    assert list(drawn(figure)) == ['parameters, M', 'FLOPs (cresnet), G', 'error']
    assert numbers(figure) == [['11.26', '8.47'], ['0.59', '0.46'], ['21.42 ± 0.19', '21.49']]
    assert [axes.get_xlim()[0] for axes in figure.axes[:2]] == [0, 0], 'costs are drawn from zero'
    assert list(drawn(cost_bars.make_figure(counted, 'macs', 'error', {}, ''))) == ['parameters, M', 'MACs, G']


@pytest.mark.parametrize(('given', 'told'), [
    ({'a': 1}, '--error: none for b; give b=VALUE too'), ({'a': 1, 'b': 2, 'c': 3}, '--error c: no such model'),
    ({'a': 'x', 'b': 1}, '--error a=x: not a number, or two such as 4.52'), ({'a': '1+-2+-3', 'b': 1}, 'not a number'),
    ({'a': True, 'b': 1}, '--error a=True: not a number'),
    ({'a': 'inf', 'b': 1}, 'a=inf: not a number'),
    ({'a': [1, 2], 'b': 1}, 'not a number')])
def test_measured_values_that_are_refused(given: dict, told: str) -> None:
    with pytest.raises(UserError) as error:
        cost_bars.read_measured(given, ['a', 'b'], '--error')
    assert told in str(error.value)
