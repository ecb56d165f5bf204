"""The ways through a data-flow graph: one column, and the others in lanes beside it.

The longest way from the first input to the first output is the column. Every other way leaves it, runs down a lane on
one side, past the layers of its own, and comes back; ways get sides and lanes so that they cross as seldom as can be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product

from network_docs.dataflow import DataFlow, NodeOutput


@dataclass
class Way:
    """From a node past some layers of its own to another node; ``start`` and ``end`` are heights."""

    source: NodeOutput
    layers: tuple[int, ...]
    target: int
    start: float = 0.
    end: float = 0.


@dataclass
class Bundle:
    """Ways of one tensor that share a lane, on the right (side 1) or the left (-1); one with layers is alone."""

    ways: list[Way]
    side: int = 1
    lane: int = 0

    @property
    def start(self) -> float:
        """The height at which its ways begin."""
        return self.ways[0].start

    @property
    def end(self) -> float:
        """The height at which the longest of its ways ends."""
        return max(way.end for way in self.ways)

    def overlaps(self, other: Bundle) -> bool:
        """Whether two bundles are on the same side and at the same heights, so that they need different lanes."""
        return self.side == other.side and self.start < other.end and other.start < self.end

    def crossings(self, other: Bundle) -> list[float]:
        """Where level lines of this bundle cross the other's lane, if the other's is nearer to the column."""
        return [y for y in {self.start, *(way.end for way in self.ways)} if other.start < y < other.end]


def longest_way(graph: DataFlow) -> list[int]:
    """The numbers of the nodes from the first input to the first output; the first operand where two are as long."""
    lengths, before = {0: 1}, {}
    for number, node in enumerate(graph.nodes):
        reached = [source.node for source in node.sources if source.node in lengths]
        if reached:
            before[number] = max(reached, key=lengths.get)
            lengths[number] = lengths[before[number]] + 1
    way = [next(number for number, node in enumerate(graph.nodes) if node.kind == 'output')]
    while way[-1] != 0:
        way.append(before[way[-1]])
    return way[::-1]


def other_ways(graph: DataFlow, column: Sequence[int]) -> list[Way]:
    """The ways beside the column, in the order in which they end.

    Raises:
        ValueError: one of them forks or gathers others outside the column.
    """
    ends = [*column[1:], *(n for n, node in enumerate(graph.nodes) if node.kind == 'output' and n != column[-1])]
    starts = {*column, *(n for n, node in enumerate(graph.nodes) if node.kind == 'input')}
    before = dict(zip(column[1:], column))
    ways: list[Way] = []
    passed: set[int] = set()
    for target in ends:
        sources = list(graph.nodes[target].sources)
        if target in before:
            sources.remove(next(source for source in sources if source.node == before[target]))
        for source in sources:
            layers: list[int] = []
            while source.node not in starts:
                node = graph.nodes[source.node]
                if len(node.sources) != 1 or source.node in passed:
                    raise ValueError(f'no place for {node.label!r}: a way beside the column that forks or gathers')
                passed.add(source.node)
                layers.insert(0, source.node)
                source = node.sources[0]
            ways.append(Way(source, tuple(layers), target))
    return ways


def bundled(ways: Sequence[Way]) -> list[Bundle]:
    """Ways of the same tensor and without layers together."""
    bundles: list[Bundle] = []
    for way in ways:
        same = [bundle for bundle in bundles if bundle.ways[0].source == way.source
                and not bundle.ways[0].layers and not way.layers]
        if same:
            same[0].ways.append(way)
        else:
            bundles.append(Bundle([way]))
    return bundles


def choose_lanes(bundles: Sequence[Bundle]) -> None:
    """Sides with the fewest crossings, then the fewest lanes, then the right one; short ways in the inner lanes."""
    def cost(sides: Sequence[int]) -> tuple:
        crossings = assign(bundles, sides)
        lanes = {(bundle.side, bundle.lane) for bundle in bundles}
        return crossings, len(lanes), [-side for side in sides]

    assign(bundles, min(product((1, -1), repeat=len(bundles)), key=cost))


def assign(bundles: Sequence[Bundle], sides: Sequence[int]) -> int:
    """Gives bundles these sides, and lanes; returns how often they cross."""
    for bundle, side in zip(bundles, sides):
        bundle.side = side
    ordered = sorted(bundles, key=lambda bundle: bundle.end - bundle.start)
    for i, bundle in enumerate(ordered):
        bundle.lane = max((inner.lane + 1 for inner in ordered[:i] if bundle.overlaps(inner)), default=0)
    return sum(len(outer.crossings(inner)) for inner, outer in combinations(ordered, 2) if outer.overlaps(inner))
