"""What networks cost beside what they reach, as bars: the figures 4 and 6 of the C-ResNet paper."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mmext.analysis import bars
from mmext.benchmark.plot import check_accuracy
from mmext.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mmext.analysis.complexity import Complexity
    from mmext.analysis.subjects import Subject

Measured = Mapping[str, tuple[float, float | None]]  # network -> value, standard deviation


def read_measured(given: Mapping[str, object], names: Sequence[str], option: str) -> Measured:
    """The values that a user gives, one for each network or none: 4.52, or 4.52+-.13 with a standard deviation.

    Args:
        given: network -> number or text.
        names: of the networks.
        option: that gave them, for messages.

    Raises:
        UserError: a network has none, one is of a network that is not counted, or one is not a number.
    """
    found = {}
    for name, value in given.items():
        try:
            numbers = [float(part) for part in str(value).replace('\N{PLUS-MINUS SIGN}', '+-').split('+-')]
        except ValueError:
            numbers = []
        if not 0 < len(numbers) < 3 or not all(map(math.isfinite, numbers)):
            raise UserError(f'{option} {name}={value}: not a number, or two such as 4.52+-.13')
        found[name] = numbers[0], numbers[1] if len(numbers) == 2 else None
    check_accuracy({name: value for name, (value, _) in found.items()}, names, option)
    return found


def make_figure(counted: Mapping[str, Complexity], convention: str, what: str, measured: Measured,
                caption: str) -> Figure:
    """Draws parameters, FLOPs and, if there are any, measured values of networks.

    Args:
        counted: network -> its costs.
        convention: how FLOPs were counted, see ``complexity.count``.
        what: 'accuracy' or 'error'.
        measured: see ``read_measured``; may be empty.
        caption: stands above the panels.
    """
    names = list(counted)
    flops = 'MACs, G' if convention == 'macs' else f'FLOPs ({convention}), G'
    panels = [bars.Panel('parameters, M', [counted[name].params / 1e6 for name in names]),
              bars.Panel(flops, [counted[name].flops / 1e9 for name in names])]
    if measured:
        panels.append(bars.Panel(what, [measured[name][0] for name in names], [measured[name][1] for name in names],
                                 from_zero=False))
    return bars.make_figure(names, panels, caption)


def shape_text(subject: Subject) -> str:
    """The shape of an input: 3 x 224 x 224."""
    return ' x '.join(map(str, subject.shape))
