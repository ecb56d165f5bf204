"""Ranks, Friedman's and Nemenyi's tests: against the paper's own table, tables of q, and figures computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from matplotlib.figure import Figure

from mmext.analysis.rank_figures import difference_diagram, ranking_graph
from mmext.analysis.ranking import Ranking, critical_difference, nemenyi_q, rank
from mmext.errors import UserError

DATA = ('CIFAR10', 'CIFAR100', 'ImageNet')
# Table 1 of the recursion paper: top-1 accuracy of ResNets, and of those of the new formula (printed with an s).
PRINTED = {
    'ResNet18': (94.32, 76.60, 68.63), 'ResNet18s': (94.70, 76.57, 68.51),
    'ResNet34': (94.75, 77.09, 72.14), 'ResNet34s': (95.10, 77.48, 72.38),
    'ResNet50': (95.00, 78.37, 75.13), 'ResNet50s': (95.29, 78.65, 75.40),
    'ResNet101': (94.89, 77.67, 76.51), 'ResNet101s': (95.01, 78.56, 76.73)}
# Its appendix, which has them from Demsar's Table 5(a).
Q = {0.05: (1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164),
     0.10: (1.645, 2.052, 2.291, 2.459, 2.589, 2.693, 2.780, 2.855, 2.920)}


def printed_table() -> np.ndarray:
    """(3 data sets, 8 methods)."""
    return np.array(list(PRINTED.values())).T


@pytest.fixture(scope='module')
def pair() -> Ranking:
    """The old formula against the new one, on three data sets with networks of four depths: twelve comparisons."""
    values = printed_table()
    return rank(['ResNet', 'ResNets'], np.stack([values[:, 0::2].ravel(), values[:, 1::2].ravel()], axis=1), True)


@pytest.mark.parametrize('alpha', Q)
def test_the_table_of_q(alpha: float) -> None:
    """To the third decimal; three of the printed ones are not rounded but cut, or one off."""
    assert [nemenyi_q(k, alpha) for k in range(2, 11)] == pytest.approx(Q[alpha], abs=0.001)


def test_figure_4_s_conclusion(pair: Ranking) -> None:
    """The networks of the new formula are significantly better: the segments of the ranking graph do not overlap.

    They win 10 of 12: mean ranks 14 / 12 and 22 / 12, whose difference, 0.667, is above 1.960 sqrt(2 * 3 / (6 * 12)).
    """
    assert pair.means == pytest.approx([22 / 12, 14 / 12])
    assert pair.critical == pytest.approx(1.960 * math.sqrt(1 / 12), abs=1e-4)
    assert pair.order == [1, 0] and pair.worse_than(1) == [0] and pair.worse_than(0) == []
    assert pair.groups() == []
    # The sign test: (10 - 2)^2 / 12 = 5.333, beyond 1.96^2 = 3.84. Iman-Davenport: 11 * 5.333 / (12 - 5.333) = 8.8.
    assert pair.friedman.chi2 == pytest.approx(16 / 3) and pair.friedman.p == pytest.approx(0.0209, abs=1e-4)
    assert pair.friedman.f == pytest.approx(8.8) and pair.friedman.p_f == pytest.approx(0.0128, abs=1e-4)
    # Of the twelve differences the two losses, 0.03 and 0.12, are the least and share the second place with a win: the
    # sum of their ranks is 1 + 2.5. Six subsets of 1, 2.5, 2.5, 4 ... have no larger sum: twice 6 of 2^12.
    assert pair.wilcoxon == pytest.approx(12 / 2**12)


def test_all_eight_networks_on_three_data_sets() -> None:
    """The same table, all networks: Friedman rejects that all are equal. Ranks by hand, from the best of each data set.

    CIFAR10: 50s 34s 101s 50 101 34 18s 18. CIFAR100: 50s 101s 50 101 34s 34 18 18s. ImageNet: 101s 101 50s 50 34s 34 18
    18s.
    """
    ranking = rank(list(PRINTED), printed_table(), True)
    assert {name: round(3 * mean) for name, mean in zip(PRINTED, ranking.means)} == {
        'ResNet50s': 1 + 1 + 3, 'ResNet101s': 3 + 2 + 1, 'ResNet50': 4 + 3 + 4, 'ResNet101': 5 + 4 + 2,
        'ResNet34s': 2 + 5 + 5, 'ResNet34': 6 + 6 + 6, 'ResNet18': 8 + 7 + 7, 'ResNet18s': 7 + 8 + 8}
    # Friedman: 12 / (3 * 8 * 9) * (25 + 36 + 121 + 121 + 144 + 324 + 484 + 529) - 3 * 3 * 9 = 1784 / 18 - 81.
    assert ranking.friedman.chi2 == pytest.approx(1784 / 18 - 81)
    assert ranking.friedman.p < 0.05
    # Three data sets are few: CD = 3.031 sqrt(8 * 9 / 18) = 6.062, and the extremes are 23 / 3 - 5 / 3 = 6 apart.
    assert ranking.critical == pytest.approx(6.062, abs=1e-3)
    assert ranking.groups() == [(0, 7)] and ranking.can_differ
    loose = rank(list(PRINTED), printed_table(), True, alpha=0.1)  # CD = 2.780 * 2 = 5.56
    assert {name: [loose.methods[j] for j in loose.worse_than(i)] for i, name in enumerate(PRINTED)
            if loose.worse_than(i)} == {'ResNet50s': ['ResNet18', 'ResNet18s'], 'ResNet101s': ['ResNet18s']}
    # On CIFAR alone nothing can differ: CD = 3.031 sqrt(72 / 12) = 7.42, and eight ranks are at most 7 apart.
    assert not rank(list(PRINTED), printed_table()[:2], True).can_differ


def test_demsar_s_example() -> None:
    """C4.5 with two parameters tuned, 14 data sets, AUC: Demsar's Table 6 and the text below it.

    The last two of 'voting' are printed alike, 0.975, and ranked 2 and 3.
    """
    auc = np.array([
        [.763, .768, .771, .798], [.599, .591, .590, .569], [.954, .971, .968, .967], [.628, .661, .654, .657],
        [.882, .888, .886, .898], [.936, .931, .916, .931], [.661, .668, .609, .685], [.583, .583, .563, .625],
        [.775, .838, .866, .875], [1.000, 1.000, 1.000, 1.000], [.940, .962, .965, .962], [.619, .666, .614, .669],
        [.972, .981, .9751, .975], [.957, .978, .946, .970]])
    ranking = rank(['C4.5', '+m', '+cf', '+m+cf'], auc, True)
    assert ranking.means == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=1e-3)
    assert ranking.critical == pytest.approx(1.25, abs=0.01)  # 2.569 sqrt(4 * 5 / (6 * 14))
    assert critical_difference(14, 4, 0.10) == pytest.approx(1.12, abs=0.01)
    # His 9.28 is without the correction for ties: of 4 values twice two are equal, twice ... and once all four.
    ties = [sum(count ** 3 - count for count in np.unique(row, return_counts=True)[1]) for row in auc]
    assert ranking.friedman.chi2 * (1 - sum(ties) / (14 * (4 ** 3 - 4))) == pytest.approx(9.28, abs=0.01)


def test_ties_share_ranks() -> None:
    values = np.array([[1., 2., 2., 3.], [5., 5., 5., 4.]])
    assert rank('abcd', values, True).ranks.tolist() == [[4, 2.5, 2.5, 1], [2, 2, 2, 4]]
    assert rank('abcd', values, False).ranks.tolist() == [[1, 2.5, 2.5, 4], [3, 3, 3, 1]]
    two = rank('ab', np.array([[1., 1.], [2., 1.], [3., 1.], [1., 2.]]), True)
    assert two.friedman.chi2 == pytest.approx((2 - 1) ** 2 / 3)  # a tie is neither won nor lost
    assert two.means == pytest.approx([1.375, 1.625])


def test_a_difference_equal_to_the_critical_one_counts() -> None:
    """As in Demsar, "at least the critical difference". Ranks are 1, 2, 3 on every data set; only CD is changed."""
    ranking = rank('abc', np.tile([3., 2., 1.], (10, 1)), True)
    assert ranking.friedman.chi2 == pytest.approx(20) and ranking.friedman.f is ranking.friedman.p_f is None
    exact = Ranking(ranking.methods, ranking.ranks, ranking.friedman, 0.05, 2.0)
    assert exact.worse_than(0) == [2] and exact.groups() == [(0, 1), (1, 2)]
    assert Ranking(ranking.methods, ranking.ranks, ranking.friedman, 0.05, 1.0).groups() == []
    assert Ranking(ranking.methods, ranking.ranks, ranking.friedman, 0.05, 2.001).groups() == [(0, 2)]


@pytest.mark.parametrize(('methods', 'values', 'alpha', 'told'), [
    ('a', [[1.], [2.]], 0.05, 'only one method'), ('ab', [[1., 2.]], 0.05, 'only one data set'),
    ('abc', [[1., 1., 1.], [2., 2., 2.]], 0.05, 'equal values on every data set'),
    ('ab', [[1., 2.], [2., 1.]], 0.0, '--alpha 0: need a level'),
    ('ab', [[1., 2.], [2., 1.]], math.nan, '--alpha nan')])
def test_what_can_not_be_ranked(methods: str, values: list, alpha: float, told: str) -> None:
    with pytest.raises(UserError, match=told):
        rank(methods, np.array(values), True, alpha)


def segments(figure: Figure) -> list[tuple[float, float]]:
    """The horizontal error bars of the ranking graph, from the top."""
    lines = [lines[0] for container in figure.axes[0].containers for lines in container.lines[2:]]
    return [tuple(line.get_segments()[0][:, 0]) for line in lines]


def test_the_ranking_graph(pair: Ranking) -> None:
    figure = ranking_graph(pair)
    half = pair.critical / 2
    assert np.array(segments(figure)) == pytest.approx(np.array([[14 / 12 - half, 14 / 12 + half],
                                                                 [22 / 12 - half, 22 / 12 + half]]))
    (_, end), (start, _) = segments(figure)
    assert end < start, 'they do not overlap: a significant difference'
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ['ResNets', 'ResNet']
    assert 'CD 0.57' in figure.axes[0].get_title(loc='left')


def test_the_diagram_has_every_name_within_the_figure_and_a_bar_for_each_group() -> None:
    generator = np.random.default_rng(0)
    names = [f'res2next29_6c24w4s_recursive_{i}' for i in range(13)]
    ranking = rank(names, generator.normal(size=(30, 13)) + np.linspace(0, 3, 13), True)
    figure = difference_diagram(ranking)
    axes, = figure.axes
    texts = [text for text in axes.texts if 'recursive' in text.get_text()]
    assert [text.get_text().split()[0] for text in texts] == [names[i] for i in ranking.order]
    figure.draw_without_rendering()
    for text in texts:
        box = text.get_window_extent()
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1
    bars = [line.get_xdata() for line in axes.lines if line.get_linewidth() == 3.5]
    spans = [(ranking.means[ranking.order[first]], ranking.means[ranking.order[last]])
             for first, last in ranking.groups()]
    assert len(bars) == len(spans) > 2
    assert all(bar[0] < low < high < bar[1] for bar, (low, high) in zip(bars, spans))
