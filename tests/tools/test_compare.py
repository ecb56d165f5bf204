"""tools/compare.py: what it prints and writes for CSV files and for runs, and what it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.analysis.test_run_cells import RESNET, RIR, write_run
from tests.conftest import ROOT, error_line
from tests.tools.helpers import here, succeeded

ACCURACY = 'data set,old,new,other\n' + ''.join(f'd{i},{70 + i},{71 + i},{60 - i}\n' for i in range(8))


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    path = tmp_path / 'results.csv'
    path.write_text(ACCURACY)
    return path


def test_everything_from_a_file(csv: Path, tmp_path: Path) -> None:
    """All eight data sets rank alike, so chi2 = 8 * 2 = 16, and CD = 2.343 sqrt(3 * 4 / 48) = 1.17."""
    graph, diagram, out = tmp_path / 'new' / 'graph.svg', tmp_path / 'cd.png', tmp_path / 'ranks.json'
    printed = succeeded(here('compare.py', csv, '--graph', graph, '--diagram', diagram, '--out', out))
    assert 'results of 3 methods on 8 data sets; higher is better\n' in printed
    assert 'Friedman: chi2(2) = 16.000, p = 0.0003355' in printed
    assert 'Nemenyi: critical difference of mean ranks 1.17' in printed
    assert printed.splitlines()[-4] == 'new is significantly better than other'
    assert all(str(path) in printed for path in (graph, diagram, out))
    assert graph.read_bytes().startswith(b'<?xml') and diagram.read_bytes().startswith(b'\x89PNG')
    found = json.loads(out.read_text())
    assert list(found['methods']) == ['new', 'old', 'other'] and found['higher_is_better'] is True
    assert found['methods']['new'] == dict(mean_rank=1, ranks=[1] * 8, values=[71 + i for i in range(8)],
                                           better_than=['other'])
    assert found['friedman']['f'] is None and 'Iman-Davenport: not defined, as all data sets rank alike' in printed


def test_lower_is_better_where_a_name_says_error(csv: Path, tmp_path: Path) -> None:
    errors = csv.rename(tmp_path / 'test_errors.csv')
    printed = succeeded(here('compare.py', errors))
    assert 'lower is better (its name says error)' in printed and 'other is significantly better than new' in printed
    assert 'higher is better\n' in succeeded(here('compare.py', errors, '--higher-is-better'))
    named = tmp_path / 'a.csv'
    named.write_text(ACCURACY.replace('data set', 'val_loss'))
    assert 'val_loss of 3 methods on 8 data sets; lower is better (its name says loss)' in succeeded(
        here('compare.py', named))
    errors.write_text(ACCURACY.replace('data set', 'top-1'))  # the metric's own name counts more than the file's
    assert 'top-1 of 3 methods on 8 data sets; higher is better\n' in succeeded(here('compare.py', errors))


def test_few_data_sets_and_two_methods(tmp_path: Path) -> None:
    path = tmp_path / 'a.csv'
    path.write_text('data set,a,b,c\nx,1,2,3\ny,1,2,3\n')
    assert ('with 2 data sets no two of 3 methods can differ significantly: mean ranks differ by at most 2'
            in succeeded(here('compare.py', path)))
    path.write_text('method,dataset,value\n' + ''.join(f'a,{d},1\na,{d},2\nb,{d},3\n' for d in 'uvwxyz'))
    printed = succeeded(here('compare.py', path))
    assert 'results of 2 methods on 6 data sets, means of 1-2 values; higher is better' in printed
    assert 'Wilcoxon signed-rank, which is more powerful: p = 0.03125' in printed  # 2 / 2^6


def test_runs(tmp_path: Path) -> None:
    runs = []
    for data in ('cifar10', 'svhn', 'mnist', 'fashionmnist'):
        for seed in (0, 1):
            for name, first, last, net in (('rir', 0.9, 0.8, RIR), ('resnet', 0.2, 0.6, RESNET)):
                scores = [first, last + 0.02 * seed]
                runs.append(write_run(tmp_path / f'{data}_{name}_seed{seed}', scores, net, data, seed=seed))
    table = tmp_path / 'table.csv'
    printed = succeeded(here('compare.py', *runs, '--save-csv', table))
    assert 'accuracy/top1 of 2 methods on 4 data sets, means of 2 values; higher is better' in printed
    assert table.read_text().splitlines()[:2] == ['accuracy/top1,rir32,resnet18', 'cifar10,0.81,0.61']
    assert 'lower is better (its name says error)' in succeeded(
        here('compare.py', *runs, '--metric', 'accuracy/error1', '--best', '--save-csv', table))
    assert table.read_text().splitlines()[1] == 'cifar10,0.1,0.39'
    succeeded(here('compare.py', *runs, '--last', 2, '--save-csv', table))
    assert table.read_text().splitlines()[1] == 'cifar10,0.855,0.405'
    assert 'accuracy/top1 of 2 methods on 4 data sets; higher is better\n' in succeeded(here('compare.py', table))
    assert '7 runs: no value of resnet18 on fashionmnist' in error_line(here('compare.py', *runs[:6], runs[12]))


@pytest.mark.parametrize(('arguments', 'told'), [
    (['{csv}', '{csv}'], '{csv}: need one CSV file, or work dirs alone'),
    (['{csv}', '--metric', 'coco/AP'], '--metric: is for work dirs; {csv} has one value'),
    (['{csv}', '--best'], '--best: is for work dirs'),
    (['{csv}', '--graph', 'a.jpg'], '--graph a.jpg: need a file name'),
    (['{csv}', '--alpha', '5'], '{csv}: --alpha 5: need a level of significance'),
    (['{csv}.none'], '{csv}.none: no such table of results'),
    (['{folder}'], '{folder}: no log of a run'), (['{folder}', '--last', '0'], '--last 0: need 1 or more'),
    (['{folder}', '--last', '3', '--best'], '--last and --best: give one of the two'),
    (['{csv}', '--out', '{folder}'], "{folder}: can't write there (it is a folder); give a file name with --out")])
def test_mistakes(csv: Path, tmp_path: Path, arguments: list[str], told: str) -> None:
    words = dict(csv=csv, folder=tmp_path)
    assert told.format(**words) in error_line(here('compare.py', *(word.format(**words) for word in arguments)))


def test_what_the_docs_print(tmp_path: Path) -> None:
    """Every table of docs/statistics.md is followed by what the command says about it."""
    page = (ROOT / 'docs' / 'statistics.md').read_text()
    tables = re.findall(r'```csv\n(.*?)```.*?```\n(Friedman.*?)```', page, re.DOTALL)
    assert len(tables) == 2
    for text, said in tables:
        (tmp_path / 'table.csv').write_text(text)
        assert succeeded(here('compare.py', tmp_path / 'table.csv')).endswith(f'\n{said}')
