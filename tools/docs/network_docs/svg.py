"""Pictures of data-flow graphs, as SVG whose description is the graphs' text."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, hypot
from xml.etree import ElementTree

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from network_docs.dataflow import DataFlow
from network_docs.layout import arrange
from network_docs.shapes import FONT, FONT_SIZE, LINE_HEIGHT, Drawing, Point, Shape, lines_of, text_width

FILLS = {'conv': '#cfe0f2', 'norm': '#fdf1c9', 'relu': '#f6d9c8', 'pool': '#d5e8d0', 'linear': '#ddd5ec',
         'other': '#e9e9e9', 'sign': '#ffffff'}
INK, GREY = '#333333', '#6b6b6b'
TITLE, NOTE = 12, 17  # heights of a panel's title and note
MARGIN, BETWEEN, ROWS = 8, 24, 40  # around the picture, between panels, between rows
CORNER, HEAD = 5, 4.5  # radius of a corner, length of an arrow head
DESCRIPTION = './/{http://purl.org/dc/elements/1.1/}description'


@dataclass(frozen=True)
class Panel:
    """A graph, what stands above it in bold, and a note under that."""

    title: str
    note: str
    graph: DataFlow


def describe(rows: Sequence[Sequence[Panel]]) -> str:
    """What a picture shows, as text: equal as long as the code computes the same."""
    return '\n\n'.join(f'{panel.title}: {panel.note}\n{panel.graph.text()}' for row in rows for panel in row)


def description_in(svg: str) -> str | None:
    """What the picture in a file shows; None where it does not say."""
    try:
        return ElementTree.fromstring(svg).findtext(DESCRIPTION)
    except ElementTree.ParseError:
        return None


def svg_text(title: str, rows: Sequence[Sequence[Panel]]) -> str:
    """The text of an SVG file: the same at every call."""
    options = {'svg.hashsalt': 'mmext', 'svg.fonttype': 'none', 'font.sans-serif': [FONT]}
    with style.context(options, after_reset=True):
        text = io.StringIO()
        make_figure(rows).savefig(text, format='svg', metadata={
            'Title': title, 'Description': describe(rows), 'Date': None, 'Creator': 'tools/docs/make.py'})
    return '\n'.join(line.rstrip() for line in text.getvalue().splitlines()) + '\n'


def make_figure(rows: Sequence[Sequence[Panel]]) -> Figure:
    """A figure of rows of panels; a point of it is a point of the layout."""
    drawings = [[arrange(panel.graph) for panel in row] for row in rows]
    sides = [list(map(room, *row)) for row in zip(rows, drawings)]
    if len({len(row) for row in rows}) == 1:  # panels stand under each other
        sides = [[tuple(max(side) for side in zip(*column)) for column in zip(*sides)]] * len(rows)
    heights = [TITLE + NOTE + max(drawing.height for drawing in row) for row in drawings]
    width = ceil(max(sum(map(sum, row)) + BETWEEN * (len(row) - 1) for row in sides) + 2 * MARGIN)
    height = ceil(sum(heights) + ROWS * (len(rows) - 1) + 2 * MARGIN)
    figure = Figure((width / 72, height / 72), facecolor='white')
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
    axes.axis('off')
    top = MARGIN
    for *row, row_height in zip(rows, drawings, sides, heights):
        x = MARGIN
        for panel, drawing, (left, right) in zip(*row):
            draw_panel(axes, panel, drawing, x + left, top)
            x += left + right + BETWEEN
        top += row_height + ROWS
    return figure


def room(panel: Panel, drawing: Drawing) -> tuple[float, float]:
    """How far a panel reaches to the left and right of its column, on which its title is centred."""
    words = max(text_width(panel.title) * 1.25, text_width(panel.note)) / 2
    return max(words, drawing.reach(-1)), max(words, drawing.reach(1))


def draw_panel(axes: Axes, panel: Panel, drawing: Drawing, x: float, top: float) -> None:
    """Draws a panel whose column is at x."""
    y = top + TITLE + NOTE
    write(axes, panel.title, x, top + TITLE / 2, weight='bold', size=FONT_SIZE + 1)
    write(axes, panel.note, x, top + TITLE + 4, color=GREY, size=FONT_SIZE - .5)

    def moved(points: Iterable[Point]) -> list[Point]:
        return [(x + px, y + py) for px, py in points]

    for dashed in (False, True):
        lines = [line for line in drawing.lines if line.dashed == dashed]
        add(axes, [rounded(moved(line.points)) for line in lines], edgecolor=INK, facecolor='none', linewidth=.9,
            linestyle=(0, (3, 2)) if dashed else 'solid')
    add(axes, [arrow_head(*moved(line.points)[-2:]) for line in drawing.lines if line.head], facecolor=INK)
    add(axes, [circle(point, 1.7) for point in moved(sorted(drawing.dots))], facecolor=INK)
    for kind, fill in FILLS.items():
        shapes = [shape for shape in drawing.shapes if shape.node.kind == kind]
        add(axes, [outline(shape, x, y) for shape in shapes], facecolor=fill, edgecolor=INK, linewidth=.7)
    for shape in drawing.shapes:
        lines = lines_of(shape.node.label)
        for i, line in enumerate(lines):
            middle = y + shape.y + (i - (len(lines) - 1) / 2) * LINE_HEIGHT
            size = FONT_SIZE + (3 if shape.node.kind == 'sign' else 0)
            write(axes, line, x + shape.x, middle, size=size, color=INK if shape.node.kind in FILLS else GREY)


def write(axes: Axes, text: str, x: float, y: float, size: float = FONT_SIZE, **options) -> None:
    """Writes one centred line of text; y is the middle of its height."""
    axes.text(x, y + .36 * size, text, size=size, ha='center', va='baseline', **options)


def add(axes: Axes, paths: Sequence[Path], **options) -> None:
    """All paths of one style as one: what keeps the file small."""
    if paths:
        axes.add_patch(PathPatch(Path.make_compound_path(*paths), **{'linewidth': 0, **options}, clip_on=False))


def rounded(points: Sequence[Point]) -> Path:
    """A line through the points, its corners rounded."""
    vertices, codes = [points[0]], [Path.MOVETO]
    for before, corner, after in zip(points, points[1:], points[2:]):
        vertices += [towards(corner, before, CORNER), corner, towards(corner, after, CORNER)]
        codes += [Path.LINETO, Path.CURVE3, Path.CURVE3]
    return Path([*vertices, points[-1]], [*codes, Path.LINETO])


def towards(start: Point, end: Point, distance: float) -> Point:
    """The point so far on the way, at most half of it."""
    length = hypot(end[0] - start[0], end[1] - start[1])
    part = min(distance / length, .5) if length else 0.
    return start[0] + part * (end[0] - start[0]), start[1] + part * (end[1] - start[1])


def arrow_head(before: Point, tip: Point) -> Path:
    """A triangle at the tip of a line."""
    base = towards(tip, before, HEAD)
    dx, dy = (tip[1] - base[1]) * .45, (base[0] - tip[0]) * .45
    return Path([tip, (base[0] + dx, base[1] + dy), (base[0] - dx, base[1] - dy), tip], closed=True)


def circle(centre: Point, radius: float) -> Path:
    """Four curves, half as many as matplotlib's."""
    bend = .5523 * radius
    quarters = [(1, 0), (0, 1), (-1, 0), (0, -1), (1, 0)]
    offsets = [(radius, 0)]
    for (ax, ay), (bx, by) in pairwise(quarters):
        offsets += [(radius * ax + bend * bx, radius * ay + bend * by),
                    (radius * bx + bend * ax, radius * by + bend * ay), (radius * bx, radius * by)]
    return Path([(centre[0] + dx, centre[1] + dy) for dx, dy in offsets], [Path.MOVETO, *[Path.CURVE4] * 12])


def outline(shape: Shape, x: float, y: float) -> Path:
    """A circle, or a box with slightly rounded corners."""
    if shape.node.kind == 'sign':
        return circle((x + shape.x, y + shape.y), shape.width / 2)
    left, right = x + shape.x - shape.width / 2, x + shape.x + shape.width / 2
    top, bottom = y + shape.top, y + shape.bottom
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    return Path([*corners, corners[0]], closed=True)
