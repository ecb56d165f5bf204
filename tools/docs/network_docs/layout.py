"""Where the boxes and lines of a data-flow graph stand. The column is at x = 0, the other ways beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from network_docs.dataflow import DataFlow
from network_docs.lanes import Bundle, Way, bundled, choose_lanes, longest_way, other_ways
from network_docs.shapes import Drawing, Line, Point, Shape, shape_of

ARROW = 13  # length of a line between two boxes
FORK = 8  # by how much it is longer where other ways begin
DOT = 6  # from a box to the dot where other ways begin
LANE = 12  # between two lanes
CLEAR = 4  # above and below what stands in a lane


@dataclass(frozen=True)
class Span:
    """From one height to another, something reaches so far outwards."""

    top: float
    bottom: float
    reach: float


def arrange(graph: DataFlow) -> Drawing:
    """Lays a graph out."""
    return Layout(graph).drawing()


class Layout:
    """The shapes of a graph's column, and the lanes of its other ways."""

    def __init__(self, graph: DataFlow) -> None:
        self.nodes = graph.nodes
        self.column = longest_way(graph)
        self.ways = other_ways(graph, self.column)
        self.forks = {way.source.node for way in self.ways if way.source.part is None}
        self.readers = [sum(source.node == number for node in graph.nodes for source in node.sources)
                        for number in range(len(graph.nodes))]
        self.room: dict[int, float] = {}
        self.place_column()
        self.bundles = bundled(self.ways)
        choose_lanes(self.bundles)
        for way in self.ways:  # in the order of their ends, so that room for one is not taken from those before
            layers = self.stack(way.layers)
            lacking = layers[-1].bottom + 2 * ARROW - (way.end - way.start) if layers else 0.
            self.room[way.target] = self.room.get(way.target, 0.) + max(0., lacking)
            self.place_column()

    def gap(self, before: int, number: int) -> float:
        """Between two nodes; none where the norm or ReLU of a convolution that nothing else reads sticks to it."""
        if (self.readers[before] == 1 and self.nodes[number].kind in ('norm', 'relu')
                and self.nodes[before].kind in ('conv', 'norm')):
            return 0.
        return ARROW + (FORK if before in self.forks else 0.) + self.room.get(number, 0.)

    def stack(self, numbers: Sequence[int], x: float = 0., top: float = 0.) -> list[Shape]:
        """Nodes under each other, boxes equally wide."""
        shapes: list[Shape] = []
        for i, number in enumerate(numbers):
            below = shapes[-1].bottom + self.gap(numbers[i - 1], number) if i else top
            shapes.append(shape_of(self.nodes[number], x, below))
        boxes = [shape for shape in shapes if shape.is_box]
        for box in boxes:
            box.width = max(other.width for other in boxes)
        return shapes

    def place_column(self) -> None:
        """Puts the column's shapes, and says at which heights the other ways start and end."""
        self.shapes = dict(zip(self.column, self.stack(self.column)))
        first, last = self.shapes[self.column[0]], self.shapes[self.column[-1]]
        for way in self.ways:
            source, target = self.shapes.get(way.source.node, first), self.shapes.get(way.target, last)
            if way.source.part is not None:
                way.start = source.y
            else:
                way.start = source.bottom + (DOT if way.source.node in self.shapes else 0.)
            way.end = target.y if way.target in self.shapes else target.top

    def drawing(self) -> Drawing:
        """All shapes and lines, laid out."""
        drawing = Drawing(list(self.shapes.values()))
        for before, number in pairwise(self.column):
            upper, lower = self.shapes[before], self.shapes[number]
            if upper.bottom < lower.top:
                drawing.lines.append(Line(((0., upper.bottom), (0., lower.top)), head=lower.node.kind != 'state'))
        for side in (1, -1):
            beside = sorted((bundle for bundle in self.bundles if bundle.side == side), key=lambda bundle: bundle.lane)
            taken = self.taken_by_column()
            for bundle in beside:
                self.add_bundle(bundle, side, beside, taken, drawing)
        return drawing

    def taken_by_column(self) -> list[Span]:
        """The column is as wide as its widest box; its first and last text as wide as they are."""
        shapes = list(self.shapes.values())
        first, *inner, last = shapes
        spans = [Span(shape.top, shape.bottom, shape.width / 2) for shape in (first, last)]
        return [*spans, Span(inner[0].top, inner[-1].bottom, max(shape.width for shape in inner) / 2)]

    def add_bundle(self, bundle: Bundle, side: int, beside: Sequence[Bundle], taken: list[Span],
                   drawing: Drawing) -> None:
        """Adds a bundle to a drawing, as close to the column as possible, and its spans to those taken."""
        layers = self.stack(bundle.ways[0].layers)
        x, down = self.place(bundle, layers, beside, taken)
        for shape in layers:
            shape.y, shape.x = shape.y + down, side * x
        taken += [Span(span.top, span.bottom, x + span.reach) for span in self.spans(bundle, layers)]
        drawing.shapes += layers
        dashed = any(shape.node.kind == 'conv' for shape in layers)
        for way in bundle.ways:
            arrival = self.arrive(way, side * x, beside, drawing)
            if way.end < bundle.end:  # it turns off the line of the longest
                drawing.dots.add(arrival[0])
                drawing.lines.append(Line(tuple(arrival)))
                continue
            points = self.leave(way, side * x, beside, drawing)
            for shape in layers:
                if points[-1][1] < shape.top:
                    drawing.lines.append(Line((*points, (shape.x, shape.top)), dashed, shape.node.kind != 'state'))
                points = [(shape.x, shape.bottom)]
            drawing.lines.append(Line((*points, *arrival), dashed))

    def place(self, bundle: Bundle, layers: Sequence[Shape], beside: Sequence[Bundle],
              taken: Sequence[Span]) -> tuple[float, float]:
        """How far out a bundle's lane is, and how far down its layers are.

        Layers stand where the lane can be nearest to the column, if possible in the middle, and not on a line that
        crosses the lane.
        """
        if not layers:
            return self.distance(self.spans(bundle, layers), taken), 0.
        height = layers[-1].bottom
        crossed = [y for other in beside if other.lane > bundle.lane for y in other.crossings(bundle)]
        middle = (bundle.start + bundle.end - height) / 2
        most = int((bundle.end - bundle.start - height) / 2 - ARROW)
        places = []
        for down in (middle + step for step in range(-most, most + 1)):
            moved = [replace(shape, y=shape.y + down) for shape in layers]
            on_line = any(down - 4 < y < down + height + 4 for y in crossed)
            places.append((on_line, self.distance(self.spans(bundle, moved), taken), abs(down - middle), down))
        _, x, _, down = min(places)
        return x, down

    def spans(self, bundle: Bundle, layers: Sequence[Shape]) -> list[Span]:
        """What a bundle needs on each side of its lane: its line, its layers, the texts at its ends."""
        first, last = self.shapes[self.column[0]], self.shapes[self.column[-1]]
        texts = [shape_of(self.nodes[number], top=(first if self.nodes[number].kind == 'input' else last).top)
                 for way in bundle.ways for number in (way.source.node, way.target) if number not in self.shapes]
        return [Span(bundle.start, bundle.end, 0.),
                *(Span(shape.top, shape.bottom, shape.width / 2) for shape in (*layers, *texts))]

    @staticmethod
    def distance(needed: Sequence[Span], taken: Sequence[Span]) -> float:
        """From the column to a lane that needs such spans."""
        return max(other.reach + LANE + span.reach for span in needed for other in taken
                   if span.top < other.bottom + CLEAR and other.top < span.bottom + CLEAR)

    def leave(self, way: Way, x: float, beside: Sequence[Bundle], drawing: Drawing) -> list[Point]:
        """The points from a way's source into the lane at x."""
        if way.source.node not in self.shapes:
            label = shape_of(self.nodes[way.source.node], x, self.shapes[self.column[0]].top)
            drawing.shapes.append(label)
            return [(x, label.bottom)]
        if way.source.part is None:
            drawing.dots.add((0., way.start))
            return [(0., way.start), (x, way.start)]
        source = self.shapes[way.source.node]
        others = [other.ways[0] for other in sorted(beside, key=lambda other: -other.lane)
                  if other.ways[0].source.node == way.source.node]
        y = port(source, others.index(way), len(others))
        return [(source.width / 2 if x > 0 else -source.width / 2, y), (x, y)]

    def arrive(self, way: Way, x: float, beside: Sequence[Bundle], drawing: Drawing) -> list[Point]:
        """The points from the lane at x to a way's target."""
        if way.target not in self.shapes:
            label = shape_of(self.nodes[way.target], x, self.shapes[self.column[-1]].top)
            drawing.shapes.append(label)
            return [(x, label.top)]
        target = self.shapes[way.target]
        others = [other for bundle in sorted(beside, key=lambda bundle: bundle.lane) for other in bundle.ways
                  if other.target == way.target]
        y = port(target, others.index(way), len(others))
        return [(x, y), (target.width / 2 if x > 0 else -target.width / 2, y)]


def port(shape: Shape, place: int, places: int) -> float:
    """The height of a line's end at a shape's side, so that several stand under each other."""
    return shape.y + (place - (places - 1) / 2) * shape.height / 2 / max(1, places - 1)
