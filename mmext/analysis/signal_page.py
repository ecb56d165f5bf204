"""The page of plots of ``signals``: a summary of all networks, and signal and gradients by depth for each family."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from mmext.analysis.signals import Signal
from mmext.figures import LineStyle, draw_curve, line_styles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def make_page(signals: Sequence[Signal], title: str) -> Figure:
    """Draws the page: above, ReLUs and the share of zeroed signal against depth; below, a row for each family.

    Args:
        signals: of the networks, of any families and depths.
        title: of the page.
    """
    from matplotlib.figure import Figure

    families: dict[str, list[Signal]] = {}
    for signal in signals:
        families.setdefault(signal.family, []).append(signal)
    figure = Figure(figsize=(11, 0.6 + 2.7 * (1 + len(families))), layout='constrained')
    figure.suptitle(title, x=0.01, ha='left', fontsize=12, fontweight='bold', color='0.2')
    grid = figure.subplots(1 + len(families), 2, squeeze=False)
    styles = line_styles(len(families))
    draw_relus(grid[0][0], families, styles)
    draw_zeroed(grid[0][1], families, styles)
    figure.legend(*grid[0][0].get_legend_handles_labels(), loc='outside upper right', frameon=False, fontsize=9,
                  ncols=min(5, len(families)))
    for (family, members), (left, right) in zip(families.items(), grid[1:]):
        draw_blocks(left, members, [[block.zeroed for block in member.blocks] for member in members],
                    f'{family}: share of the signal that is zeroed', shares=True)
        draw_blocks(right, members, [[block.gradient for block in member.blocks] for member in members],
                    f'{family}: norm of the gradient after each block', shares=False)
    norms = [block.gradient for signal in signals for block in signal.blocks if block.gradient > 0]
    for right in grid[1:, 1] if norms else ():
        right.set_ylim(min(norms) / 2, max(norms) * 2)  # the same for all, so that families can be compared
    return figure


def dress(axes: Axes, title: str, across: str) -> None:
    """Title, grid and axis label of a panel."""
    axes.set_title(title, loc='left', fontsize=10, fontweight='bold', color='0.2')
    axes.set_xlabel(across, color='0.3', fontsize=9)
    axes.grid(color='0.9', linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[['top', 'right']].set_visible(False)
    axes.tick_params(which='both', color='0.6', labelcolor='0.3', labelsize=9)


def by_layers(axes: Axes, layers: Sequence[int]) -> None:
    """A logarithmic axis of depths with plain numbers, as far apart as they can be read."""
    axes.set_xscale('log')
    shown: list[int] = []
    for number in sorted(set(layers)):
        if not shown or number > 1.25 * shown[-1]:
            shown.append(number)
    axes.set_xticks(shown, [str(number) for number in shown])
    axes.minorticks_off()


def draw_by_depth(axes: Axes, families: dict[str, list[Signal]], styles: Sequence[LineStyle],
                  value: Callable[[Signal], float], title: str) -> None:
    """A quantity of each network against its depth, a curve for each family."""
    for (family, members), style in zip(families.items(), styles):
        ordered = sorted(members, key=lambda member: member.layers)
        draw_curve(axes, [member.layers for member in ordered], list(map(value, ordered)), style, markers=True,
                   label=family)
    dress(axes, title, 'layers')
    by_layers(axes, [member.layers for members in families.values() for member in members])


def draw_relus(axes: Axes, families: dict[str, list[Signal]], styles: Sequence[LineStyle]) -> None:
    """The number of ReLUs on the main path of each network."""
    draw_by_depth(axes, families, styles, lambda member: member.relus, 'ReLUs on the main path')
    axes.set_yscale('symlog', linthresh=1)
    axes.yaxis.set_major_formatter(lambda y, _: f'{y:g}')
    axes.set_ylim(bottom=0)


def draw_zeroed(axes: Axes, families: dict[str, list[Signal]], styles: Sequence[LineStyle]) -> None:
    """The share of the negative signal that is zeroed in each network."""
    draw_by_depth(axes, families, styles, lambda member: member.zeroed,
                  'Share of the negative signal of all blocks that is zeroed')
    axes.set_ylim(-0.03, 1.05)
    axes.yaxis.set_major_formatter(lambda y, _: f'{100 * y:.0f} %')


def draw_blocks(axes: Axes, members: Sequence[Signal], values: Sequence[Sequence[float]], title: str,
                shares: bool) -> None:
    """A quantity of each block of the networks of a family, against the position of the block."""
    for member, ys, (colour, dash) in zip(members, values, line_styles(len(members))):
        xs = [(i + 1) / len(ys) for i in range(len(ys))]
        few = len(ys) <= 50
        axes.plot(xs, ys, color=colour, linestyle=dash, linewidth=1.4 if few else 0.9, marker='o' if few else None,
                  markersize=3, label=member.name)
    dress(axes, title, 'position of the block in the network')
    axes.set_xlim(0, 1.02)
    axes.xaxis.set_major_formatter(lambda x, _: f'{100 * x:.0f} %')
    if shares:
        axes.set_ylim(-0.02, max(0.6, *(max(ys) for ys in values)) + 0.03)
        axes.yaxis.set_major_formatter(lambda y, _: f'{100 * y:.0f} %')
    else:
        axes.set_yscale('log')
        axes.legend(frameon=False, fontsize=8)
