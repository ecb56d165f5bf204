"""What a trained network loses without one of its parts: connections of a stream, the branch of a block, a jumper."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from mmext.backbones.backbone import Backbone
from mmext.backbones.cresnet import CrossBlock
from mmext.backbones.half_identity import HalfIdentity
from mmext.backbones.residual import Residual
from mmext.backbones.rir import RiRBlock
from mmext.errors import UserError, nearest
from mmext.figures import draw_curve, finish_panel, line_styles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STREAMS = ('residual', 'transient')


@dataclass(frozen=True)
class Part:
    """A part of a network that can be switched off.

    Attributes:
        layer: its place in the network, from 1: of a convolution (streams), or of a block.
        name: of the module that has it, such as 'layer2.0.conv1'.
        kind: which of the parts at this place: 'residual to transient', 'branch', 'jumper1'.
        removed: returns a context in which the network computes without the part.
    """

    layer: int
    name: str
    kind: str
    removed: Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True)
class Loss:
    """The metric of a network without one part, and its difference from the intact network's."""

    layer: int
    name: str
    kind: str
    value: float
    change: float


@contextmanager
def overwritten(places: Sequence[tuple[Tensor, Any, Tensor | float]]) -> Iterator[None]:
    """Writes a value into a part of each tensor, (tensor, index, value), and at the end what was there before."""
    with torch.no_grad():
        kept = [tensor[index].clone() for tensor, index, _ in places]
        for tensor, index, value in places:
            tensor[index] = value
    try:
        yield
    finally:
        with torch.no_grad():
            for (tensor, index, _), before in zip(places, kept):
                tensor[index] = before


def streams(backbone: Backbone) -> Iterator[Part]:
    """The learned connections between the streams of each layer of ResNet Init (Targ et al., Fig. 3).

    The identity that carries the residual stream on is not learned, and stays.
    """
    layers = [(name, module) for name, module in backbone.named_modules() if isinstance(module, HalfIdentity)]
    for layer, (name, module) in enumerate(layers, 1):
        outputs, inputs = module.weight.shape[:2]
        for source, target in product(range(2), range(2)):
            index = (slice(target * outputs // 2, (target + 1) * outputs // 2),
                     slice(source * inputs // 2, (source + 1) * inputs // 2))
            yield Part(layer, name, f'{STREAMS[source]} to {STREAMS[target]}',
                       partial(overwritten, [(module.weight, index, 0.0)]))


def branches(backbone: Backbone) -> Iterator[Part]:
    """The branch of each residual block, without which its shortcut alone remains."""
    blocks = [(name, module) for name, module in backbone.named_modules()
              if isinstance(module, Residual) or isinstance(module, RiRBlock) and module.shortcut]
    for layer, (name, block) in enumerate(blocks, 1):
        end: Any = block.branch_end
        weight = -end.identity if isinstance(end, HalfIdentity) else 0.0
        bias = [] if end.bias is None else [(end.bias, ..., 0.0)]
        yield Part(layer, name, 'branch', partial(overwritten, [(end.weight, ..., weight), *bias]))


def jumpers(backbone: Backbone) -> Iterator[Part]:
    """The jumpers of each block of C-ResNet."""
    blocks = [(name, module) for name, module in backbone.named_modules() if isinstance(module, CrossBlock)]
    for layer, (name, block) in enumerate(blocks, 1):
        for number in range(1, len(block.variant.jumpers) + 1):
            yield Part(layer, name, f'jumper{number}', partial(without_jumper, block, number))


@contextmanager
def without_jumper(block: CrossBlock, number: int) -> Iterator[None]:
    """Leaves a jumper (1, 2, ...) of a block out; those after it keep their numbers."""
    variant = block.variant
    unused = [replace(jumper, target=0) if i == number else jumper for i, jumper in enumerate(variant.jumpers, 1)]
    block.variant = replace(variant, jumpers=tuple(unused))
    try:
        yield
    finally:
        block.variant = variant


FINDERS: dict[str, Callable[[Backbone], Iterator[Part]]] = {
    'streams': streams, 'jumpers': jumpers, 'branches': branches}


def parts_of(model: nn.Module, what: str | None = None) -> tuple[str, list[Part]]:
    """The parts of a model's backbone that can be switched off.

    Args:
        model: with a ``backbone``.
        what: a key of ``FINDERS``; by default the first one of which the network has some.

    Returns:
        The key, and the parts in their order.

    Raises:
        UserError: the backbone is not one of mmext's, or has no such parts.
    """
    backbone = getattr(model, 'backbone', None)
    if not isinstance(backbone, Backbone):
        raise UserError(f'{type(model).__name__}: its backbone {type(backbone).__name__} is not one of mmext; only '
                        'parts of those can be switched off')
    for kind, finder in FINDERS.items():
        parts = list(finder(backbone)) if what in (None, kind) else []
        if parts:
            return kind, parts
    missing = f'no {what}' if what else 'neither streams nor jumpers nor branches beside a shortcut'
    raise UserError(f'{type(backbone).__name__}: this network has {missing}, so there is nothing to switch off')


def choose_metric(metrics: dict[str, float], metric: str | None) -> str:
    """The name of the metric to compare: ``metric``, or the first one. Raises UserError if it is not there."""
    if metric is None:
        return next(iter(metrics))
    if metric not in metrics:
        raise UserError(f'--metric {metric}: the test has {", ".join(metrics)}{nearest(metric, metrics)}')
    return metric


def ablate(evaluate: Callable[[], dict[str, float]], parts: Sequence[Part], metric: str | None = None,
           progress: Callable[[Sequence[Part]], Iterable[Part]] = iter) -> tuple[str, float, list[Loss]]:
    """Evaluates a network once as it is, and once without each of the parts.

    Args:
        evaluate: evaluates the network as it is now, and returns the metrics by name.
        parts: of ``parts_of``.
        metric: the name of the metric; by default the first one.
        progress: wraps the parts, to show how far it is.

    Returns:
        The name of the metric, its value for the intact network, and a ``Loss`` for each part.

    Raises:
        UserError: there is no such metric.
    """
    intact = evaluate()
    name = choose_metric(intact, metric)
    losses = []
    for part in progress(parts):
        with part.removed():
            value = evaluate()[name]
        losses.append(Loss(part.layer, part.name, part.kind, value, value - intact[name]))
    return name, intact[name], losses


def as_json(losses: Sequence[Loss]) -> list[dict]:
    """The losses as JSON, in their order."""
    return [asdict(loss) for loss in losses]


def kinds_of(losses: Sequence[Loss]) -> list[str]:
    """The kinds of parts, in the order of their first."""
    return list(dict.fromkeys(loss.kind for loss in losses))


def make_figure(title: str, metric: str, intact: float, losses: Sequence[Loss], unit: str) -> Figure:
    """Draws the metric against the place of the part that is missing, as in Figure 3 of ResNet in ResNet.

    Args:
        title: above the panel.
        metric: its name.
        intact: the metric of the intact network, a grey line.
        losses: a curve for each kind of part.
        unit: what the places are, 'layer' or 'block'.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.2), layout='constrained')
    axes = figure.subplots()
    kinds = kinds_of(losses)
    for kind, style in zip(kinds, line_styles(len(kinds))):
        own = [loss for loss in losses if loss.kind == kind]
        draw_curve(axes, [loss.layer for loss in own], [loss.value for loss in own], style, markers=True, label=kind)
    axes.axhline(intact, color='0.5', linewidth=1, label='intact')
    finish_panel(axes, [intact, *(loss.value for loss in losses)], share=True, title=title)
    axes.set_xlim(0.5, max(loss.layer for loss in losses) + 0.5)
    mark_stages(axes, losses)
    axes.set_xlabel(f'{unit} without the part; dashed: a new stage', color='0.3')
    axes.set_ylabel(metric, color='0.3')
    figure.legend(loc='outside lower center', frameon=False, fontsize=9, ncols=3)
    return figure


def mark_stages(axes: Axes, losses: Sequence[Loss]) -> None:
    """Draws a thin line where a new stage begins."""
    stage = losses[0].name.partition('.')[0]
    for loss in losses:
        if loss.name.partition('.')[0] != stage:
            stage = loss.name.partition('.')[0]
            axes.axvline(loss.layer - 0.5, color='0.8', linewidth=0.8, linestyle=(0, (4, 3)))
