"""Pictures of a recursion, of its paths, and of the shares of a network's gradient.

Figures 2, 3, 7 and 8 of the paper have the blocks of a recursion in a row, with all that is added to each, and beside
it the paths that it unrolls to.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from mmext.analysis.paths.algebra import Path
from mmext.analysis.paths.shares import Share
from mmext.analysis.paths.unroll import Unrolled
from mmext.backbones.formula import BRANCH as BRANCH_TERM
from mmext.backbones.formula import Formula, Term
from mmext.figures import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_BLOCKS = 10  # of a recursion that are drawn, the last ones
MOST_ROWS = 70  # paths; more are drawn as bars of their numbers
LEAST = 0.0001  # share of the gradient or of the paths of a length that is drawn
GREY = '0.55'
BRANCH, SHORTCUT, REUSED, ORIGIN = COLOURS[0], COLOURS[2], COLOURS[1], COLOURS[3]


def draw_formula(unrolled: Unrolled) -> Figure:
    """The recursion above, and its paths below; where there are too many, how many of each length there are."""
    from matplotlib.figure import Figure

    formula, first, last, paths = unrolled.formula, unrolled.first, unrolled.last, unrolled.paths
    shown = paths if paths is not None and len(paths) <= MOST_ROWS and last - first <= MOST_BLOCKS else None
    rows = 0.24 * len(shown) + 0.5 if shown else 2.6
    start = max(first, last - MOST_BLOCKS)
    arcs = [arc for block in range(start + 1, last + 1) for arc in arcs_of(formula, block, start, first)]
    top, bottom = (max([0.3, *[arc.height for arc in arcs if arc.above == above]]) + 0.35 for above in (True, False))
    width = max(7.0, 1.15 * (last - start) + (3.2 if shown else 0.8))
    figure = Figure(figsize=(width, 0.5 + 1.1 * (top + bottom) + rows), layout='constrained')
    above, below = figure.subplots(2, 1, height_ratios=[0.5 + 1.1 * (top + bottom), rows], sharex=shown is not None)
    draw_recursion(above, formula, start, last)
    for arc in arcs:
        draw_arc(above, arc)
    above.set_ylim(-bottom, top)
    above.set_title(f'X[i] = {formula}', loc='left', fontsize=10, fontweight='bold', color='0.2')
    if shown:
        draw_paths(below, shown, first, last)
    else:
        draw_counts(below, unrolled.counts)
    return figure


def place_of(block: int, first: int) -> float:
    """Where X of a block stands from left to right; its W stands 1 before, and its sum 0.4 before."""
    return 2.0 * (block - first)


@dataclass(frozen=True)
class Arc:
    """What is added to a block, or what its branch runs on: from one place in the row to another."""

    source: float
    target: float
    above: bool
    colour: str
    label: str

    @property
    def height(self) -> float:
        """How far it goes up or down."""
        return 0.35 + 0.1 * (self.target - self.source)


def arcs_of(formula: Formula, block: int, start: int, origin: int) -> Iterator[Arc]:
    """The arcs of a block: above the row those of states, below it those of what branches compute or run on.

    Args:
        formula: The formula.
        block: The number of the block.
        start: The first block that is drawn; nothing is drawn that begins before it.
        origin: The block whose output is the first that isn't held fast.
    """
    x = place_of(block, start)
    for term in formula.terms:
        read = 0 if term.back is None else block - term.back
        if read < origin or term == own_branch(formula):
            continue
        inner = term.inner if term.is_own else term
        latest = read if inner.latest is None else block - inner.latest
        source = place_of(latest, start) - (0.8 if inner.weights else 0)
        colour = REUSED if term.weights else ORIGIN if term.back is None else SHORTCUT
        if source >= 0:
            yield Arc(source, x - (1.0 if term.is_own else 0.55), not term.weights, colour, label_of(term))


def own_branch(formula: Formula) -> Term | None:
    """The first term that is W[i] X[i-1], which is drawn in the row."""
    return next((term for term in formula.terms if term.source == BRANCH_TERM), None)


def draw_recursion(axes: Axes, formula: Formula, start: int, last: int) -> None:
    """The blocks from ``start`` on in a row: states as circles, branches as boxes."""
    branch = own_branch(formula)
    for block in range(start, last + 1):
        x = place_of(block, start)
        axes.text(x, 0, rf'$X_{{{block}}}$', ha='center', va='center', fontsize=10, zorder=4,
                  bbox=dict(boxstyle='circle,pad=0.25', facecolor='white', edgecolor='0.3'))
        if block == start:
            continue
        axes.plot([x - 2, x - 1], [0, 0], color=BRANCH, linewidth=1.4, zorder=1)
        axes.plot([x - 1, x - 0.55], [0, 0], color=BRANCH, linewidth=1.4, linestyle='-' if branch else ':', zorder=1)
        axes.annotate('', (x - 0.2, 0), (x - 0.55, 0), arrowprops=dict(arrowstyle='-|>', color='0.3'), zorder=1)
        axes.text(x - 1, 0, rf'$W_{{{block}}}$', ha='center', va='center', fontsize=9, color='white', zorder=3,
                  bbox=dict(boxstyle='square,pad=0.25', facecolor=BRANCH, edgecolor=BRANCH))
        axes.text(x - 0.55, 0, '+', ha='center', va='center', fontsize=9, zorder=4,
                  bbox=dict(boxstyle='circle,pad=0.1', facecolor='white', edgecolor='0.3'))
        if branch and label_of(branch):
            axes.text(x - 0.72, -0.14, label_of(branch), ha='center', va='top', fontsize=8, color=BRANCH)
    axes.set_xlim(-0.6, place_of(last, start) + 0.6)
    axes.set_axis_off()


def draw_arc(axes: Axes, arc: Arc) -> None:
    """A curved arrow, with its label at the middle."""
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path as Curve

    side = 1 if arc.above else -1
    near, middle = side * 0.2, (arc.source + arc.target) / 2
    curve = Curve([(arc.source, near), (middle, side * (2 * arc.height - 0.2)), (arc.target, near)],
                  [Curve.MOVETO, Curve.CURVE3, Curve.CURVE3])
    axes.add_patch(FancyArrowPatch(path=curve, arrowstyle='-|>', mutation_scale=9, color=arc.colour, linewidth=1.2,
                                   zorder=2, fill=False))
    if arc.label:
        axes.text(middle, side * (arc.height + 0.03), arc.label, ha='center', va='bottom' if arc.above else 'top',
                  fontsize=8, color=arc.colour, bbox=dict(facecolor='white', edgecolor='none', pad=0.5))


def label_of(term: Term) -> str:
    """Sign, factor and gate of a term; '' for a plain one."""
    number = '' if abs(term.factor) == 1 else f'{abs(term.factor):g}'
    gate = {'': '', 'T': 'T', 'C': '1 - T'}[term.gate]
    return f'{"−" if term.factor < 0 else ""}{number}{" " if number and gate else ""}{gate}'


def draw_paths(axes: Axes, paths: Sequence[Path], first: int, last: int) -> None:
    """One row for each path: the boxes that it goes through are filled, and it passes the others by."""
    for row, path in enumerate(paths):
        negative = path.factor < 0
        axes.plot([0, place_of(last, first)], [-row, -row], color=COLOURS[1] if negative else GREY, linewidth=1.2,
                  zorder=1)
        for block in path.blocks:
            axes.text(place_of(block, first) - 1, -row, str(block), ha='center', va='center', fontsize=7, color='white',
                      zorder=3, bbox=dict(boxstyle='square,pad=0.3', facecolor=BRANCH, edgecolor=BRANCH))
        if row == 0 or paths[row - 1].length != path.length:
            axes.text(-0.35, -row, str(path.length), ha='right', va='center', fontsize=9, color='0.3')
        factor = '' if path.factor == 1 else '− ' if path.factor == -1 else f'{float(path.factor):g} '
        axes.text(place_of(last, first) + 0.35, -row, factor + path.text(), ha='left', va='center', fontsize=8,
                  color='0.3', parse_math=False)
    axes.text(-0.35, 0.9, 'length', ha='right', va='center', fontsize=8, color='0.5')
    axes.set_ylim(0.4 - len(paths), 1.3)
    axes.set_xlim(-0.9, place_of(last, first) + 0.6 + 0.3 * max(len(path.text()) for path in paths) / 2)
    axes.set_axis_off()


def draw_counts(axes: Axes, counts: dict[int, Fraction]) -> None:
    """A bar for the number of paths of each length."""
    axes.bar(list(counts), [float(count) for count in counts.values()], color=BRANCH, width=0.8)
    finish(axes, 'length of the paths', 'paths')


def draw_shares(rows: Sequence[Share], title: str) -> Figure:
    """The shares of the gradient by length as bars, and the shares of the paths as a line."""
    from matplotlib.figure import Figure

    total = sum(abs(row.paths) for row in rows)
    rows = [row for row in rows if row.norm > LEAST or abs(row.paths) > LEAST * total]
    span = rows[-1].length - rows[0].length
    figure = Figure(figsize=(min(12.0, max(6.0, 2.2 + 0.14 * span)), 3.6), layout='constrained')
    axes = figure.subplots()
    lengths = [row.length for row in rows]
    axes.bar(lengths, [100 * row.norm for row in rows], color=BRANCH, width=0.8, label='gradient that arrives, by norm')
    axes.plot(lengths, [100 * row.along for row in rows], color=COLOURS[1], marker='o' if span <= 40 else None,
              markersize=3, linewidth=1.2, label='part along the whole gradient')
    if total:
        axes.plot(lengths, [float(100 * abs(row.paths) / total) for row in rows], color='0.35', linestyle='--',
                  linewidth=1.2, label='paths')
    finish(axes, 'length of the paths', 'share (%)')
    axes.set_title(title, loc='left', fontsize=10, fontweight='bold', color='0.2')
    axes.legend(frameon=False, fontsize=8)
    return figure


def finish(axes: Axes, across: str, up: str) -> None:
    """Labels and grid of a panel of bars."""
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel(across, fontsize=9, color='0.3')
    axes.set_ylabel(up, fontsize=9, color='0.3')
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis='y', color='0.9', linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[['top', 'right']].set_visible(False)
    axes.spines[['left', 'bottom']].set_color('0.6')
    axes.tick_params(color='0.6', labelcolor='0.3', labelsize=9)
