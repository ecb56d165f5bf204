"""Graphs say what the modules compute, and pictures show graphs without anything over anything else."""

from __future__ import annotations

import operator
from itertools import combinations
from xml.etree import ElementTree

import pytest
import torch
from torch import Tensor, fx, nn

from mmext.analysis.complexity import COUNTED
from mmext.backbones import cresnet, formula, names, residual
from network_docs import contents as pictures
from network_docs.contents import PICTURES, Piece, data_flow_of
from network_docs.dataflow import DataFlow, Node, NodeOutput, layer_label, record
from network_docs.lanes import Bundle, Way, choose_lanes, longest_way, other_ways
from network_docs.layout import arrange
from network_docs.shapes import Drawing
from network_docs.svg import Panel, describe, description_in, svg_text
from tests.backbones.helpers import on_meta

PIECES = {f'{picture} {i}: {piece.title}, {piece.note}': piece for picture, (_, rows) in PICTURES.items()
          for i, piece in enumerate(piece for row in rows for piece in row)}


def graph(function, channels: int = 4, modules=()) -> list[str]:
    """The lines of what a function does with one meta tensor."""
    x = torch.empty(1, channels, 8, 8, device='meta')
    return record([function], x, modules, [lambda x: {'x': x}, lambda y: {'y': y}]).text().splitlines()


def test_layers_and_functions_are_nodes() -> None:
    conv = nn.Conv2d(4, 6, 3, 2, 1, bias=False, device='meta')
    norm, pool = nn.BatchNorm2d(6, device='meta').eval(), nn.MaxPool2d(3, 1, 1)
    assert graph(lambda x: torch.sigmoid(norm(conv(x))) * norm(conv(pool(x).flip(3).flatten(3))),
                 modules=[conv, norm, pool]) == [
        '0 input: x', '1 conv: 3×3 conv, 6, /2 of 0', '2 norm: BN of 1', '3 other: sigmoid of 2',
        '4 pool: 3×3 max-pool of 0', '5 other: flip of 4', '6 conv: 3×3 conv, 6, /2 of 5', '7 norm: BN of 6',
        '8 sign: × of 3, 7', '9 output: y of 8']


def test_what_is_done_in_place_is_seen_by_every_reader() -> None:
    def in_place(x: Tensor) -> Tensor:
        y = torch.relu_(x)
        y += x
        return x - y

    assert graph(in_place)[1:] == ['1 other: ReLU of 0', '2 sign: + of 1, 1',
                                   '3 sign: − of 2, 2', '4 output: y of 3']


@pytest.mark.parametrize(('function', 'lines'), [
    (lambda x: torch.add(x, x.mean(1, True), alpha=-1), ['1 other: mean of 0', '2 sign: − of 0, 1']),
    (lambda x: torch.add(x, x, alpha=0.5), ['1 other: + 0.5 × of 0, 0']),
    (lambda x: 0.5 * x, ['1 other: × 0.5 of 0']),
    (lambda x: x + nn.Parameter(torch.empty(1, device='meta')), ['1 sign: + of 0']),
    (lambda x: torch.cat([x.chunk(2, 1)[1], x], 1), ['1 other: split in 2 of 0', '2 other: concatenation of 1.2, 0']),
    (lambda x: (x.sigmoid(), x * x)[1], ['1 sign: × of 0, 0']),
])
def test_labels(function, lines: list[str]) -> None:
    assert graph(function)[1:-1] == lines


@pytest.mark.parametrize(('layer', 'label'), [
    (nn.Conv2d(4, 8, 3, padding=1), '3×3 conv, 8, bias'),
    (nn.Conv2d(4, 8, (1, 3), (1, 2), groups=2, bias=False), '1×3 conv, 8, /1×2, 2 groups, unpadded'),
    (nn.Conv3d(4, 8, 3, 2, 2, dilation=2, bias=False), '3×3×3 conv, 8, /2, dilation 2'),
    (nn.GroupNorm(2, 4), 'GN'),
    (nn.Linear(4, 2), 'linear, 2'),
    (nn.AdaptiveAvgPool2d(1), 'mean'),
])
def test_labels_of_layers(layer: nn.Module, label: str) -> None:
    assert layer_label(layer)[1] == label


def test_steps_hand_on_named_tensors() -> None:
    """The second output of the first step is its input and has a name already; the first gets one."""
    steps = [lambda pair: (pair[0] + pair[1], pair[0]), lambda pair: (pair[1] * pair[0], pair[0])]
    call = [lambda pair, k=k: {f'X{k}': pair[0], f'X{k - 1}': pair[1]} for k in (1, 2, 3)]
    given = torch.empty(1, 2, device='meta'), torch.empty(1, 2, device='meta')
    assert record(steps, given, [], call).text().splitlines() == [
        '0 input: X1', '1 input: X0', '2 sign: + of 0, 1', '3 state: X2 of 2', '4 sign: × of 0, 3',
        '5 output: X3 of 4', '6 output: X2 of 3']


def test_recording_leaves_no_hook_behind() -> None:
    conv = nn.Conv2d(5, 4, 1, device='meta')
    with pytest.raises(RuntimeError):
        graph(conv, modules=[conv])
    assert not conv._forward_hooks and not conv._forward_pre_hooks


class Tracer(fx.Tracer):
    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return isinstance(module, COUNTED)


@pytest.mark.parametrize(('name', 'stage', 'block'), [
    ('resnet50', 2, 0), ('preact_resnet50', 2, 0), ('resstage50', 2, 1), ('resstage50', 2, 3), ('iresnet18', 1, 0),
    ('iresgroup50', 3, 0), ('cresnet18_a', 2, 0), ('cresnet27_a1', 2, 0), ('cresnet27_b3', 2, 0),
    ('cresnet27_c', 1, 1), ('rir_init32', 2, 1), ('rir32', 3, 0), ('all_cnn_c', 3, 1)])
def test_a_block_is_what_symbolic_tracing_finds(name: str, stage: int, block: int) -> None:
    module = getattr(on_meta(name).eval(), f'layer{stage}')[block]
    nodes = list(Tracer().trace(module).nodes)
    lines = []
    for number, node in enumerate(nodes):
        kind, label = 'sign', '+'
        if node.op == 'call_module':
            kind, label = layer_label(module.get_submodule(node.target))
        else:
            assert number in (0, len(nodes) - 1) or node.target in (operator.add, operator.iadd)
        sources = ', '.join(str(nodes.index(source)) for source in node.all_input_nodes)
        lines.append(f'{number} {kind}: {label} of {sources}')
    assert data_flow_of(Piece('', '', name, stage, block)).text().splitlines()[1:-1] == lines[1:-1]


MUTATIONS = {
    'a norm is gone': ('resnet18', lambda patch: patch.setattr(
        residual.BasicBlock, 'branch', lambda self, x: self.conv2(self.relu(self.conv1(x))))),
    'the addition comes after the ReLU': ('resnet50', lambda patch: patch.setattr(
        residual.Residual, 'finish_branch', lambda self, out: self.relu(self.last_norm(out)))),
    'a solid jumper is dashed': ('cresnet27_b2', lambda patch: patch.setitem(
        cresnet.VARIANTS, 'b2', cresnet.VARIANTS['b3'])),
    'a jumper starts elsewhere': ('cresnet27_b', lambda patch: patch.setitem(
        cresnet.VARIANTS, 'b', cresnet.replace(cresnet.VARIANTS['b'], jumpers=(
            cresnet.Jumper(1, 4, cresnet.DASHED), *cresnet.VARIANTS['b'].jumpers[1:])))),
    'a jumper has no bias': ('cresnet27_a', lambda patch: patch.setitem(
        cresnet.VARIANTS, 'a', cresnet.replace(cresnet.VARIANTS['a'], jumper_bias=False))),
    'a term changes its sign': ('resnet18_recursive', lambda patch: patch.setitem(
        formula.FORMULAS, 'eq20', 'relu(W[i] X[i-1] + X[i-1]) + W[i-1] X[i-2]')),
    'a term is read from elsewhere': ('resnet18_recursive', lambda patch: patch.setitem(
        formula.FORMULAS, 'eq20', 'relu(W[i] X[i-1] + X[i-1]) - X[i-2]')),
}


@pytest.mark.parametrize('mutation', MUTATIONS)
def test_another_block_is_another_graph(mutation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, mutate = MUTATIONS[mutation]
    piece = Piece('', '', name)
    before = data_flow_of(piece).text()
    assert data_flow_of(piece).text() == before
    mutate(monkeypatch)
    assert data_flow_of(piece).text() != before


def test_every_family_has_a_picture() -> None:
    drawn = {names.find_backbone(piece.network)[0] for piece in PIECES.values()}
    families = {cls for cls, _ in names.catalogue().values() if cls.__module__.startswith('mmext.')}
    assert drawn == families


def test_the_column_is_the_longest_way_and_the_others_leave_it() -> None:
    chain = DataFlow((Node('input', 'x'), Node('conv', 'side', (NodeOutput(0), )), Node('conv', 'a', (NodeOutput(0), )),
                   Node('norm', 'b', (NodeOutput(2), )), Node('sign', '+', (NodeOutput(3), NodeOutput(1))),
                   Node('sign', '+', (NodeOutput(4), NodeOutput(2))), Node('output', 'y', (NodeOutput(5), ))))
    column = longest_way(chain)
    assert column == [0, 2, 3, 4, 5, 6]
    assert other_ways(chain, column) == [Way(NodeOutput(0), (1, ), 4), Way(NodeOutput(2), (), 5)]
    forked = DataFlow((*chain.nodes[:5], Node('sign', '+', (NodeOutput(4), NodeOutput(1))), chain.nodes[6]))
    with pytest.raises(ValueError, match='no place for'):
        other_ways(forked, longest_way(forked))


@pytest.mark.parametrize(('spans', 'expected'), [
    ([(0, 9), (2, 5)], [(1, 1), (1, 0)]),  # one within the other
    ([(0, 4), (5, 9)], [(1, 0), (1, 0)]),  # one after the other
    ([(0, 5), (3, 9)], [(1, 0), (-1, 0)]),  # they would cross
    ([(0, 5), (3, 9), (7, 12)], [(1, 0), (-1, 0), (1, 0)]),
])
def test_lanes(spans: list, expected: list) -> None:
    bundles = [Bundle([Way(NodeOutput(i), (), 9, *span)]) for i, span in enumerate(spans)]
    choose_lanes(bundles)
    assert [(bundle.side, bundle.lane) for bundle in bundles] == expected


def overlap(first: tuple, second: tuple) -> bool:
    """Whether two rectangles (left, top, right, bottom) have a common inside."""
    return max(first[0], second[0]) < min(first[2], second[2]) and max(first[1], second[1]) < min(first[3], second[3])


def rectangles(drawing: Drawing) -> list[tuple]:
    """What the shapes cover, less a little at their edges."""
    return [(shape.x - shape.width / 2 + .5, shape.top + .5, shape.x + shape.width / 2 - .5, shape.bottom - .5)
            for shape in drawing.shapes]


def assert_clear(drawn: DataFlow) -> None:
    """All nodes are there, no shape is over another, and no line over a shape."""
    drawing = arrange(drawn)
    assert sorted(shape.node.label for shape in drawing.shapes) == sorted(node.label for node in drawn.nodes)
    covered = rectangles(drawing)
    assert not [pair for pair in combinations(covered, 2) if overlap(*pair)]
    for line in drawing.lines:
        for (x1, y1), (x2, y2) in zip(line.points, line.points[1:]):
            assert x1 == x2 or y1 == y2
            thin = (min(x1, x2) - .1, min(y1, y2) - .1, max(x1, x2) + .1, max(y1, y2) + .1)
            assert not [one for one in covered if overlap(one, thin)]


@pytest.mark.parametrize('piece', PIECES)
def test_nothing_is_over_anything_else(piece: str) -> None:
    assert_clear(data_flow_of(PIECES[piece]))


def column_with(ways: list[tuple[int, int, int]]) -> DataFlow:
    """A column of nine times conv, norm, ReLU, and ways (start, layers, end) from after one to a sum after another."""
    nodes = [Node('input', 'x')]
    ends = [0]  # the number of the node that ends each piece of the column

    def add(kind: str, label: str, *sources: int) -> int:
        nodes.append(Node(kind, label, tuple(map(NodeOutput, sources))))
        return len(nodes) - 1

    for piece in range(1, 10):
        arriving = []
        for start, layers, _ in (way for way in ways if way[2] == piece):
            last = ends[start]
            for _ in range(layers):
                last = add('pool', 'a long name', last)
            arriving.append(last)
        end = ends[-1]
        for kind in ('conv', 'norm', 'relu'):
            end = add(kind, kind, end)
        for source in arriving:
            end = add('sign', '+', end, source)
        ends.append(end)
    add('output', 'y', end)
    return DataFlow(tuple(nodes))


@pytest.mark.parametrize('ways', [
    [(0, 1, 4)], [(0, 1, 2), (1, 1, 5)],
    [(0, 3, 1)], [(0, 3, 1), (1, 3, 2), (0, 0, 2)],  # more layers than there is room for
    [(0, 0, 3), (1, 1, 4), (2, 0, 5)],  # each crosses the others
    *([(0, 0, end), (3, 1, 7), (4, 0, 9)] for end in (5, 6)),
    *([(0, 0, 5), (3, layers, 7), (4, 1, 9)] for layers in (2, 3))])
def test_nothing_is_over_anything_else_wherever_ways_lead(ways: list[tuple[int, int, int]]) -> None:
    assert_clear(column_with(ways))


@pytest.mark.parametrize('name', ['cresnet_b', 'rir'])
def test_a_picture_is_small_the_same_each_time_and_says_what_it_shows(name: str) -> None:
    rows = pictures.panels(name)
    svg = svg_text('A & B', rows)
    assert svg == svg_text('A & B', rows)
    assert len(svg) < 60_000
    assert description_in(svg) == describe(rows)
    assert 'A & B' in ElementTree.fromstring(svg).itertext()
    assert 'date' not in svg
    words = [text.text for text in ElementTree.fromstring(svg).iter('{http://www.w3.org/2000/svg}text')]
    assert {'cresnet_b': '1×1 conv, 256', 'rir': '+ half identity'}[name] in words
    for panel in (panel for row in rows for panel in row):
        assert panel.title in words and panel.note in words


@pytest.mark.parametrize(('piece', 'dashed'), [
    (Piece('', '', 'resnet18'), True), (Piece('', '', 'resnet18', block=1), False),
    (Piece('', '', 'cresnet27_a'), True), (pictures.formula('', 'eq20'), False),
    (Piece('', '', 'seresnet18', block=1), False)])
def test_a_way_with_a_convolution_is_dashed(piece: Piece, dashed: bool) -> None:
    assert any(line.dashed for line in arrange(data_flow_of(piece)).lines) == dashed


def test_a_damaged_picture_shows_nothing() -> None:
    svg = svg_text('x', [[Panel('a', 'b', data_flow_of(Piece('', '', 'resnet18')))]])
    assert description_in(svg[:-20]) is None
    assert description_in('<svg/>') is None
