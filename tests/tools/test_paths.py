"""tools/paths.py: formulas, wanted paths and networks, from the shell."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from mmext.analysis.paths.wanted import WANTED
from mmext.backbones.formula import FORMULAS
from tests.conftest import ROOT, error_line
from tests.tools.helpers import here, succeeded


def test_a_formula(tmp_path: Path) -> None:
    formula = 'X[i] = (1 + W[i]) X[i-1] - W[i-1] X[i-2]'
    printed = succeeded(here('paths.py', '--formula', formula, '--blocks', 3, '--out', tmp_path / 'paths.png'))
    assert 'dX[3]/dX[0] = 1 + W[3] + W[3] W[2] + W[3] W[2] W[1]\n' in printed
    assert (tmp_path / 'paths.png').read_bytes().startswith(b'\x89PNG')
    assert 'dX[9]/dX[7] = W[9] W[8]\n' in succeeded(here('paths.py', '--formula', 'plain', '--from', 7, '--to', 9))


def test_wanted_paths(tmp_path: Path) -> None:
    printed = succeeded(here('paths.py', '--wanted', 'eq12', '--out', tmp_path / 'paths.svg'))
    assert "\nformula='relu(W[i] X[i-1] + X[i-1]) - W[i-1] X[i-2]'\n" in printed
    assert "--cfg-options 'model.backbone.formula=relu(W[i] X[i-1] + X[i-1]) - W[i-1] X[i-2]'" in printed
    assert (tmp_path / 'paths.svg').read_bytes().startswith(b'<?xml')


def test_wanted_paths_without_a_formula(tmp_path: Path) -> None:
    done = here('paths.py', '--wanted', '1 + W[L] + W[L-1] + ... + W[j+1]', '--out', tmp_path / 'paths.png')
    assert done.returncode == 1 and 'there is no recursion of order one or two' in done.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(('arguments', 'paths'), [([], [1, 1, 1, 1, 1, 1, 1, 1, 1]),
                                                  (['--formula', 'appendix1', '--dims', 3], [1, 10, 15, 7, 1])])
def test_a_network(arguments: list, paths: list[int], tmp_path: Path) -> None:
    size = [2, 8, 8] if arguments else [8, 8]
    printed = succeeded(here('paths.py', '--network', 'resnet18_recursive', *arguments, '--input', 3, *size, '--out',
                             tmp_path / 'shares.pdf'))
    rows = [line.split() for line in printed.splitlines() if line[:6].strip().isdigit()]
    assert [int(row[1]) for row in rows] == paths
    assert sum(float(row[2].rstrip('%')) for row in rows) == pytest.approx(100, abs=0.1)
    assert (tmp_path / 'shares.pdf').read_bytes().startswith(b'%PDF')


@pytest.mark.parametrize(('arguments', 'told'), [
    ([], 'give --formula TEXT, --wanted TEXT or --network NAME'),
    (['--formula', 'W[i] X[i-1] X'], "formula 'W[i] X[i-1] X': expected [ after X at character 14, but there is the"),
    (['--wanted', 'W[L'], "wanted sum 'W[L': expected +, - or ] at character 4"),
    (['--wanted', 'eq12', '--formula', 'eq20'], '--wanted finds a formula itself'),
    (['--formula', 'eq20', '--blocks', '3', '--to', '3'], '--blocks and --to are the same'),
    (['--formula', 'eq20', '--from', '3', '--to', '3'], '--from 3 --to 3: need 0 <= from < to'),
    (['--formula', 'eq20', '--dims', '3'], '--dims is for --network'),
    (['--network', 'rir32', '--blocks', '3'], '--blocks, --from and --to are for formulas'),
    (['--network', 'rir32', '--batch', '0'], '--batch 0: need 1 to 64'),
    (['--network', 'rir32', '--formula', 'eq20'], '--formula: rir32 has no recursion formula'),
    (['--formula', 'eq20', '--out', 'a.jpg'], '--out a.jpg: need a file name that ends in'),
])
def test_mistakes(arguments: list[str], told: str) -> None:
    assert told in error_line(here('paths.py', *arguments))


GUIDE = (ROOT / 'docs' / 'formulas.md').read_text()
PRINTED = re.findall(r'^```\n\$ mmext paths ([^\n]*)\n(.*?)```', GUIDE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(('arguments', 'printed'), PRINTED, ids=[arguments[:20] for arguments, _ in PRINTED])
def test_the_guide_has_what_is_printed(arguments: str, printed: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = here('paths.py', *shlex.split(arguments))
    lines = (done.stdout + done.stderr).splitlines()
    missing = [line for line in printed.splitlines() if line and not any(found.startswith(line.removesuffix('...'))
                                                                       for found in lines)]
    assert not missing


def test_the_guide_has_every_name() -> None:
    assert len(PRINTED) == 4
    for name, text in {**FORMULAS, **WANTED}.items():
        assert f'`{name}`' in GUIDE and f'`{text}`' in GUIDE
