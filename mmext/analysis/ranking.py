"""Methods compared over data sets by their ranks: Friedman's test, and Nemenyi's critical difference after it.

The tests are those of J. Demsar, "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 7, 2006, which
the paper of the recursion formulas uses.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmext.errors import UserError

ALPHAS = (1e-4, 0.5)  # levels of significance outside this range are mistakes


@dataclass(frozen=True)
class Friedman:
    """Friedman's test of the hypothesis that all methods are equal.

    Attributes:
        chi2: the statistic, corrected for ties, with ``k - 1`` degrees of freedom for k methods.
        p: its probability under the hypothesis.
        f: Iman and Davenport's statistic, which is less conservative, with ``k - 1`` and ``(k - 1)(n - 1)`` degrees of
            freedom for n data sets; None if all data sets rank the methods alike, where it is not defined.
        p_f: its probability, or None.
    """

    chi2: float
    p: float
    f: float | None
    p_f: float | None


@dataclass(frozen=True)
class Ranking:
    """Methods ranked over data sets.

    Attributes:
        methods: their names.
        ranks: (data sets, methods), 1 for the best of a data set; equal values share the mean of their ranks.
        friedman: the test of all methods together.
        alpha: the level of significance.
        critical: Nemenyi's critical difference at this level.
        wilcoxon: the probability of Wilcoxon's signed-rank test, for two methods; else None.
    """

    methods: tuple[str, ...]
    ranks: np.ndarray
    friedman: Friedman
    alpha: float
    critical: float
    wilcoxon: float | None = None

    @property
    def means(self) -> np.ndarray:
        """The mean rank of each method."""
        return self.ranks.mean(0)

    @property
    def order(self) -> list[int]:
        """The indices of the methods, the best first; of equal ones in the given order."""
        return np.argsort(self.means, kind='stable').tolist()

    @property
    def can_differ(self) -> bool:
        """Whether any mean ranks of so many methods on so many data sets could differ significantly."""
        return len(self.methods) - 1 >= self.critical

    def differ(self, one: int, other: int) -> bool:
        """Whether the mean ranks of two methods differ by the critical difference or more."""
        # Means of ranks are multiples of 1 / (2 n): what is closer is the rounding of floating point.
        return bool(abs(self.means[one] - self.means[other]) >= self.critical - 1e-9)

    def worse_than(self, method: int) -> list[int]:
        """The methods that are significantly worse, the best of them first."""
        return [other for other in self.order if self.means[other] > self.means[method] and self.differ(method, other)]

    def groups(self) -> list[tuple[int, int]]:
        """The largest groups of methods of which no two differ significantly: (first, last) positions in ``order``."""
        order, found = self.order, []
        for first in range(len(order)):
            last = max(i for i in range(first, len(order)) if i == first or not self.differ(order[first], order[i]))
            if last > first and (not found or last > found[-1][1]):
                found.append((first, last))
        return found


def rank(methods: Sequence[str], values: np.ndarray, higher_is_better: bool, alpha: float = 0.05) -> Ranking:
    """Ranks methods over data sets, and tests whether they differ.

    Args:
        methods: their names.
        values: (data sets, methods), finite.
        higher_is_better: as for accuracy; False for an error.
        alpha: the level of significance.

    Raises:
        UserError: there are fewer than two methods or data sets, all methods are equal on all data sets, or ``alpha``
            is no level of significance.
    """
    from scipy import stats

    if not ALPHAS[0] <= alpha <= ALPHAS[1]:
        raise UserError(f'--alpha {alpha:g}: need a level of significance from {ALPHAS[0]:g} to {ALPHAS[1]:g}')
    if len(methods) < 2:
        raise UserError(f'only one method ({", ".join(methods)}); a comparison needs two or more')
    if len(values) < 2:
        raise UserError('only one data set; ranks over data sets need two or more')
    if (values == values[:, :1]).all():
        raise UserError('all methods have equal values on every data set; there is nothing to rank')
    ranks = stats.rankdata(-values if higher_is_better else values, axis=1)
    differences = (values[:, 0] - values[:, 1]).round(12)  # 0.12 and 0.12 remain equal
    wilcoxon = float(np.asarray(stats.wilcoxon(differences))[1]) if len(methods) == 2 else None
    critical = critical_difference(len(values), len(methods), alpha)
    return Ranking(tuple(methods), ranks, friedman(ranks), alpha, critical, wilcoxon)


def friedman(ranks: np.ndarray) -> Friedman:
    """Friedman's test of ranks (data sets, methods), with the statistic of Iman and Davenport.

    Of two methods, scipy has none; there it is the sign test: (wins - losses)^2 / (wins + losses).
    """
    from scipy import stats

    data_sets, methods = ranks.shape
    if methods == 2:
        signs = np.sign(ranks[:, 0] - ranks[:, 1])
        chi2 = float(signs.sum() ** 2 / abs(signs).sum())
    else:
        chi2 = float(stats.friedmanchisquare(*ranks.T).statistic)
    freedom = methods - 1
    rest = data_sets * freedom - chi2
    p = float(stats.chi2.sf(chi2, freedom))
    if rest < 1e-9:
        return Friedman(chi2, p, None, None)
    f = (data_sets - 1) * chi2 / rest
    return Friedman(chi2, p, f, float(stats.f.sf(f, freedom, freedom * (data_sets - 1))))


def nemenyi_q(methods: int, alpha: float) -> float:
    """The q of Nemenyi's test: the quantile of the studentised range for infinite degrees of freedom, over sqrt(2)."""
    from scipy import stats

    return float(stats.studentized_range.ppf(1 - alpha, methods, np.inf)) / math.sqrt(2)


def critical_difference(data_sets: int, methods: int, alpha: float) -> float:
    """By how much mean ranks must differ to differ significantly: q sqrt(k (k + 1) / (6 n))."""
    return nemenyi_q(methods, alpha) * math.sqrt(methods * (methods + 1) / (6 * data_sets))
