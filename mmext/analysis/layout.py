"""Where the boxes and lines of a data-flow graph stand: one column, and the other ways in lanes beside it.

The longest way from the first input to the first output is the column. Every other way leaves it, runs down a lane on
one side, past the layers of its own, and comes back; ways get sides and lanes so that they cross as seldom as can be.
Units are points, y grows downwards, x = 0 is the middle of the column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import combinations, product

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

from mmext.analysis.dataflow import Graph, Node, Source

FONT = 'DejaVu Sans'
FONT_SIZE = 7.5
LINE_HEIGHT = 9.5
SIGN = 13  # diameter of a circle
ARROW = 13  # length of a line between two boxes
FORK = 8  # by how much it is longer where other ways begin
DOT = 6  # from a box to the dot where other ways begin
LANE = 12  # between two lanes
TEXTS = ('input', 'state', 'output')
UNBOXED = (*TEXTS, 'sign')

Point = tuple[float, float]


@dataclass
class Shape:
    """A box, circle or text, by its centre."""

    node: Node
    x: float
    y: float
    width: float
    height: float

    @property
    def top(self) -> float:
        return self.y - self.height / 2

    @property
    def bottom(self) -> float:
        return self.y + self.height / 2


@dataclass(frozen=True)
class Line:
    """Level and upright pieces; ``head``: it ends in an arrow."""

    points: tuple[Point, ...]
    dashed: bool = False
    head: bool = True


@dataclass
class Way:
    """From a node past some layers of its own to another node; ``start`` and ``end`` are heights."""

    source: Source
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
        return self.ways[0].start

    @property
    def end(self) -> float:
        return max(way.end for way in self.ways)

    def overlaps(self, other: Bundle) -> bool:
        return self.side == other.side and self.start < other.end and other.start < self.end

    def crossings(self, other: Bundle) -> list[float]:
        """Where level lines of this bundle cross the other's lane, if the other's is nearer to the column."""
        return [y for y in {self.start, *(way.end for way in self.ways)} if other.start < y < other.end]


@dataclass
class Drawing:
    """What is to be drawn, and how far it reaches from x = 0 and y = 0."""

    shapes: list[Shape] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    dots: set[Point] = field(default_factory=set)

    def reach(self, side: int) -> float:
        xs = [side * x for line in self.lines for x, _ in line.points]
        return max([*xs, *(side * shape.x + shape.width / 2 for shape in self.shapes)])

    @property
    def height(self) -> float:
        return max(shape.bottom for shape in self.shapes)


def longest_way(graph: Graph) -> list[int]:
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


def other_ways(graph: Graph, column: Sequence[int]) -> list[Way]:
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


@cache
def text_width(text: str) -> float:
    return TextPath((0, 0), text, prop=FontProperties(family=FONT, size=FONT_SIZE)).get_extents().width


def lines_of(label: str) -> list[str]:
    """A label's lines: what makes it long stands on the second."""
    return label.replace(' + half', '\n+ half').split('\n')


def shape_of(node: Node, x: float = 0., top: float = 0.) -> Shape:
    lines = lines_of(node.label)
    width = height = SIGN
    if node.kind != 'sign':
        text = node.kind in TEXTS
        width = max(map(text_width, lines)) + (2 if text else 10)
        height = LINE_HEIGHT * len(lines) + (1 if text else 5)
    return Shape(node, x, top + height / 2, width, height)
