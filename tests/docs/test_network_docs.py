"""docs/networks.md and its pictures are what the code says now, and the command that makes them notices if not."""

from __future__ import annotations

import re
import runpy
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mmext.analysis import complexity, subjects
from mmext.backbones import cresnet, resnet
from mmext.backbones.names import PAPERS, find_backbone, list_backbones
from network_docs import contents as pictures
from network_docs import page as network_page
from network_docs.page import PAGE, Row, compared, count, line, rows_of
from tests.backbones.helpers import user_error
from tests.conftest import ROOT

FOLDER = 'docs/networks'
# Counted here: each paper's smallest, one in 3D, misprints. The command with --check counts all.
SAMPLE = {'iresnet50', 'resstage101', 'resnet164_cifar', 'resnet18', 'cresnet15_a1', 'cresnet27_c', 'seresnet18',
          'resnext29_2x64d', 'rir_cnn32', 'rir18_wide', 'all_cnn_c'}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of the page and its pictures that a test may damage."""
    shutil.copytree(ROOT / FOLDER, tmp_path / FOLDER)
    shutil.copy(ROOT / PAGE, tmp_path / PAGE)
    return tmp_path


@pytest.fixture
def few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """One cheap row a paper, so that whole tables are counted quickly."""
    rows = {paper: tuple(row for row in rows_of(paper) if row.name in SAMPLE)[-1:]
            for paper in PAPERS}
    monkeypatch.setattr(network_page, 'rows_of', rows.get)


def test_the_pictures_are_those_of_the_code() -> None:
    assert list(network_page.stale_pictures(ROOT)) == []


def test_the_tables_are_those_of_the_code() -> None:
    """All rows are there; those of the sample say what is counted."""
    assert list(network_page.stale_tables(ROOT, lambda row: row.name in SAMPLE)) == []


def test_every_name_of_a_paper_is_in_its_table() -> None:
    tables = network_page.lines_in((ROOT / PAGE).read_text(encoding='utf-8'))
    for paper in PAPERS:
        ours = {name for name in list_backbones(by_paper=True)[paper]
                if find_backbone(name)[0].__module__.startswith('mmext.')}
        assert {row.split('`')[1] for row in tables[paper]} >= ours


def test_the_page_s_python_runs() -> None:
    for code in re.findall(r'```python\n(.*?)```', (ROOT / PAGE).read_text(encoding='utf-8'), re.DOTALL):
        exec(compile(code if 'import mmext' in code else f'import mmext\n{code}', PAGE, 'exec'), {})


@pytest.mark.parametrize('convention', complexity.CONVENTIONS)
def test_an_exchanged_linear_layer_is_counted_as_if_built_so(convention: str) -> None:
    rows = [Row('rir_cnn32', 'conv3x3', classes, (3, 32, 32), convention) for classes in (10, 100, 7)]
    for row, counted in count(rows):
        subject = subjects.classifier(row.name, row.num_classes, row.input, row.stem)
        assert counted == complexity.count(subject.model, row.input, convention)


@pytest.mark.parametrize(('printed', 'counted', 'text'), [
    (7.88, 7.8788, '7.88'), (7.88, 7.8732, r'7.88 \*'), (7.88, 7.8952, r'7.88 \*'),
    (11.48, 11.4887, '11.48'),  # cut off
    (150., 148.41, '150'), (150., 141.2, r'150 \*'), (71., 71.1, '71'), (71., 73., r'71 \*'),
    (124.5, 124.524, '124.5'), (None, 1., '')])
def test_a_printed_figure_is_marked_where_ours_is_another(printed: float | None, counted: float, text: str) -> None:
    assert compared(printed, counted) == text


def test_a_line_says_how_to_get_the_network() -> None:
    (row, counted), = count([Row('resnet18', 'conv3x3', 100, (3, 32, 32), 'recursive', 11.22, 71., '8')])
    assert line(row, counted) == (
        "| `resnet18` | `dict(type='mmext.ResNet', depth=18, stem='conv3x3')` | conv3x3 | 100 | 32×32 | 11.220 | "
        '11.22 | 0.555 | 71.100 | 71 | recursive | 8 |')


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding='utf-8')
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding='utf-8')


def test_stale_tables_are_found(root: Path) -> None:
    edit(root / PAGE, '| 11.220 |', '| 11.221 |')
    edit(root / PAGE, '| `cresnet27_c` |', '')
    edit(root / PAGE, '| `rir32` |', '| `rir33` |')
    assert list(network_page.stale_tables(root, lambda row: row.name == 'resnet18' and row.num_classes == 100)) == [
        f'{root / PAGE}: table cresnet has other rows than the code', f'{root / PAGE}: resnet18 in table recursive',
        f'{root / PAGE}: table rir has other rows than the code']


def test_stale_pictures_are_found(root: Path) -> None:
    folder = root / FOLDER
    edit(folder / 'rir.svg', 'conv: 3×3 conv, 32', 'conv: 3×3 conv, 31')
    edit(folder / 'cresnet_b.svg', 'sign: + of 12, 13', 'sign: + of 12, 11')
    edit(folder / 'stems.svg', '</svg>', '')
    (folder / 'resnet.svg').unlink()
    (folder / 'old.svg').touch()
    assert list(network_page.stale_pictures(root)) == [
        f'{folder / "stems.svg"}: not what the code computes', f'{folder / "resnet.svg"}: missing',
        f'{folder / "cresnet_b.svg"}: not what the code computes', f'{folder / "rir.svg"}: not what the code computes',
        f'{folder / "old.svg"}: no picture of the page, delete it']


@pytest.fixture
def few_pictures(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if there were two pictures only."""
    for path in (root / FOLDER).iterdir():
        if path.stem not in ('stems', 'cresnet_c'):
            path.unlink()
    monkeypatch.setattr(pictures, 'PICTURES', {name: pictures.PICTURES[name] for name in ('stems', 'cresnet_c')})


@pytest.mark.usefixtures('few_pictures')
def test_other_networks_make_them_stale(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The committed files against code whose C1 and whose ResNet-18 are others."""
    monkeypatch.setitem(cresnet.VARIANTS, 'c1', cresnet.VARIANTS['c'])
    assert list(network_page.stale_pictures(root)) == [
        f'{root / FOLDER / "cresnet_c.svg"}: not what the code computes']
    monkeypatch.setitem(resnet.RESNET, 18, resnet.RESNET[34])
    found = list(network_page.stale_tables(root, lambda row: row.name in ('resnet18', 'rir32')))
    assert found == [f'{root / PAGE}: resnet18 in table {paper}' for paper in ('iresnet', 'cresnet', 'recursive')]


@pytest.mark.usefixtures('few_pictures', 'few_rows')
def test_making_them_again_changes_nothing(root: Path) -> None:
    prose = network_page.with_tables((root / PAGE).read_text(encoding='utf-8'), lambda paper: '')
    for path in (root / FOLDER).iterdir():
        path.unlink()
    assert [path.name for path in network_page.make(root)] == ['stems.svg', 'cresnet_c.svg', 'networks.md']
    first = {path: path.read_bytes() for path in root.rglob('*') if path.is_file()}
    assert network_page.stale(root) == []
    assert network_page.with_tables(first[root / PAGE].decode(), lambda paper: '') == prose
    assert len(network_page.lines_in(first[root / PAGE].decode())['rir']) == 1
    for _ in network_page.make(root):
        pass
    assert {path: path.read_bytes() for path in root.rglob('*') if path.is_file()} == first


def test_a_page_without_its_places_is_refused_before_anything_is_written(root: Path) -> None:
    (root / FOLDER / 'rir.svg').unlink()
    edit(root / PAGE, '<!-- table rir -->', '')
    with user_error(PAGE, 'need one <!-- table NAME -->', 'rir'):
        next(network_page.make(root))
    shutil.copy(ROOT / PAGE, root / PAGE)
    edit(root / PAGE, '(networks/rir.svg)', '(rir.svg)')
    with user_error(PAGE, 'networks/rir.svg'):
        next(network_page.make(root))
    assert not (root / FOLDER / 'rir.svg').exists()


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Callable:
    """command('--check') runs the tool in this process: its exit code, and what it printed."""
    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, 'argv', ['make.py', *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(ROOT / 'tools' / 'docs' / 'make.py'), run_name='__main__')
        return end.value.code, *capsys.readouterr()
    return run


@pytest.mark.usefixtures('few_pictures', 'few_rows')
def test_the_command(command: Callable, root: Path) -> None:
    """It writes, finds nothing stale, and where a picture or a table is, ends with 1 and one line."""
    svg, page = root / FOLDER / 'cresnet_c.svg', root / PAGE
    assert command('networks', '--root', root) == (0, f'{root / FOLDER / "stems.svg"}\n{svg}\n{page}\n', '')
    assert command('networks', '--root', root, '--check') == (0, '', '')
    edit(page, '| `all_cnn_c` |', '| `all_cnn_d` |')
    remedy = 'run tools/docs/make.py'
    assert command('networks', '--root', root, '--check') == (
        1, '', f'out of date: {page}: table rir has other rows than the code; {remedy}\n')
    edit(svg, 'sign: + of 6, 7', 'sign: + of 6, 3')
    assert command('networks', '--root', root, '--check') == (
        1, '', f'out of date: {svg}: not what the code computes; {remedy}\n')


def test_the_command_refuses_a_folder_without_the_page(command: Callable, tmp_path: Path) -> None:
    for options in ([], ['--check']):
        code, _, said = command('networks', '--root', tmp_path, *options)
        assert (code, said.count('\n')) == (2, 1)
        assert said.startswith(f'error: {tmp_path / PAGE}: ')
    assert list(tmp_path.iterdir()) == []
