"""What a picture of a graph is made of: boxes, circles, texts and lines. Units are points, y grows downwards."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

from network_docs.dataflow import Node

FONT = 'DejaVu Sans'
FONT_SIZE = 7.5
LINE_HEIGHT = 9.5
SIGN = 13  # diameter of a circle
TEXTS = ('input', 'state', 'output')

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
        """The height of the upper edge."""
        return self.y - self.height / 2

    @property
    def bottom(self) -> float:
        """The height of the lower edge."""
        return self.y + self.height / 2

    @property
    def is_box(self) -> bool:
        """Whether it is drawn as a box: not a circle or a text."""
        return self.node.kind not in (*TEXTS, 'sign')


@dataclass(frozen=True)
class Line:
    """Level and upright pieces; ``head``: it ends in an arrow."""

    points: tuple[Point, ...]
    dashed: bool = False
    head: bool = True


@dataclass
class Drawing:
    """What is to be drawn, and how far it reaches from x = 0 and y = 0."""

    shapes: list[Shape] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    dots: set[Point] = field(default_factory=set)

    def reach(self, side: int) -> float:
        """How far the drawing extends from x = 0 to the right (side 1) or to the left (-1)."""
        xs = [side * x for line in self.lines for x, _ in line.points]
        return max([*xs, *(side * shape.x + shape.width / 2 for shape in self.shapes)])

    @property
    def height(self) -> float:
        """The height of the lowest edge."""
        return max(shape.bottom for shape in self.shapes)


@cache
def text_width(text: str) -> float:
    """The width of a text in points."""
    return TextPath((0, 0), text, prop=FontProperties(family=FONT, size=FONT_SIZE)).get_extents().width.round(1)


def lines_of(label: str) -> list[str]:
    """A label's lines: what makes it long stands on the second."""
    return label.replace(' + half', '\n+ half').split('\n')


def shape_of(node: Node, x: float = 0., top: float = 0.) -> Shape:
    """The shape of a node, as large as its label needs, with its upper edge at ``top``."""
    lines = lines_of(node.label)
    width = height = SIGN
    if node.kind != 'sign':
        text = node.kind in TEXTS
        width = max(map(text_width, lines)) + (2 if text else 12)
        height = LINE_HEIGHT * len(lines) + (1 if text else 5)
    return Shape(node, x, top + height / 2, width, height)
