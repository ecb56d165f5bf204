"""docs/architecture.md is true: who may import whom."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

# Each layer imports those above it, and itself.
LAYERS = (
    ('errors', 'imports', 'font', 'registry', '__init__'),
    ('text', 'files', 'workers', 'screen', 'figures', 'pretrained'),
    ('checkpoints', 'compat', 'config_tree', 'components', 'operators'),
    ('backbones', 'samples', 'results', 'necks'),
    ('data', 'report'),
    ('task', 'inference'),
    ('classification', ),
    ('detection', 'video'),
    ('engine', 'doctor'),
    ('export', 'analysis', 'benchmark', 'prediction'),
    ('commands', '__main__'),
)
RANKS = {room: rank for rank, rooms in enumerate(LAYERS) for room in rooms}
ROOMS = ('classification', 'detection', 'video')
LATE = {('compat', 'checkpoints'), ('__init__', 'compat'), ('__init__', 'backbones'), ('__init__', 'classification'),
        ('__init__', 'prediction'), ('__init__', 'pretrained')}


def room_of(module: str) -> str:
    """'mmext.backbones.plan' -> 'backbones'; 'mmext' -> '__init__'."""
    return (module.split('.') + ['__init__'])[1]


def imports(path: Path) -> Iterator[str]:
    """The rooms of mmext that a file imports, at its head or in a function, but not for its annotations alone."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == 'TYPE_CHECKING':
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == 'mmext':
            for alias in node.names:
                yield alias.name if alias.name in RANKS else '__init__'
        elif isinstance(node, ast.ImportFrom) and (node.module or '').startswith('mmext.'):
            yield room_of(node.module)
        elif isinstance(node, ast.Import):
            yield from (room_of(alias.name) for alias in node.names if alias.name.split('.')[0] == 'mmext')


@pytest.mark.parametrize('path', sorted((ROOT / 'mmext').rglob('*.py')), ids=lambda path: str(path.relative_to(ROOT)))
def test_data_flows_one_way(path: Path):
    own = room_of('.'.join(path.relative_to(ROOT).with_suffix('').parts))
    for other in set(imports(path)) - {own}:
        allowed = RANKS[other] <= RANKS[own] or (own, other) in LATE
        assert allowed, f'{path.relative_to(ROOT)} imports mmext.{other}'


@pytest.mark.parametrize('path', sorted((ROOT / 'mmext' / 'engine').rglob('*.py')), ids=lambda path: path.stem)
def test_the_engine_asks_the_task(path: Path):
    assert not {*imports(path)} & {*ROOMS}
    assert "default_scope') ==" not in path.read_text(), 'a task knows its configs itself'
