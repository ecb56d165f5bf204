"""The wheel is whole: a config of its own, in an empty folder, trains and tests with what the wheel alone brings."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

import mmext
from tests.conftest import OPTIONS, ROOT


@pytest.fixture(scope='module')
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from what git would give a stranger, without touching the checkout."""
    folder = tmp_path_factory.mktemp('package')
    source = folder / 'source'
    names = subprocess.run(['git', 'ls-files', '--cached', '--others', '--exclude-standard'], cwd=ROOT, check=True,
                           capture_output=True, text=True).stdout.splitlines()
    for name in names:
        if (ROOT / name).exists() and not name.startswith(('tests/', 'docs/networks/')):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / name).is_symlink():
                (source / name).symlink_to(os.readlink(ROOT / name))
            else:
                (source / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run([sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps', '--no-build-isolation', '--no-index',
                    '--wheel-dir', folder, source], check=True, capture_output=True, text=True)
    return next(folder.glob('mmext-*.whl'))


@pytest.fixture(scope='module')
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's files in a folder, for PYTHONPATH: before the checkout's, which pip has installed for editing."""
    folder = tmp_path_factory.mktemp('installed')
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_the_wheel_has_every_module_config_and_page(wheel: Path):
    names = set(zipfile.ZipFile(wheel).namelist())
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / 'mmext').rglob('*.py') if '.mim' not in path.parts}
    configs = {f'mmext/.mim/{path.relative_to(ROOT)}' for path in (ROOT / 'configs').rglob('*.py')}
    tools = {f'mmext/.mim/{path.relative_to(ROOT)}' for path in (ROOT / 'tools').glob('*.py')}
    other = {'mmext/py.typed', 'mmext/.mim/model-index.yml', 'mmext/.mim/configs/metafile.yml',
             'mmext/analysis/published.json', 'mmext/detection/report/papers.json'}
    assert not (modules | configs | tools | other) - names
    assert not [name for name in names if '__pycache__' in name]


def test_the_wheel_has_nothing_that_only_makes_the_documentation(wheel: Path):
    makers = {path.relative_to(ROOT / 'tools').as_posix() for path in (ROOT / 'tools' / 'docs').rglob('*.py')}
    assert {'docs/make.py', 'docs/model_zoo.py', 'docs/network_docs/page.py'} <= makers
    assert not [name for name in zipfile.ZipFile(wheel).namelist()
                if any(part in name for part in ('tools/docs', 'network_docs', 'network_page', 'model_zoo'))]


def test_its_description_says_who_may_use_it(wheel: Path):
    archive = zipfile.ZipFile(wheel)
    info = f'mmext-{mmext.__version__}.dist-info'
    text = archive.read(f'{info}/METADATA').decode()
    assert 'License-Expression: Apache-2.0' in text and 'Requires-Python: >=3.10' in text
    assert 'Apache License' in archive.read(f'{info}/licenses/LICENSE').decode()
    assert 'Provides-Extra: libraries' in text and 'Requires-Dist: pycocotools; extra == "libraries"' in text


def test_versions_agree():
    citation = yaml.safe_load((ROOT / 'CITATION.cff').read_text())
    assert citation['version'] == mmext.__version__ and len(citation['references']) == 4
    assert f'## [{mmext.__version__}]' in (ROOT / 'CHANGELOG.md').read_text()
    hook = yaml.safe_load((ROOT / '.pre-commit-config.yaml').read_text())['repos'][0]
    assert f'ruff=={hook["rev"].removeprefix("v")}' in (ROOT / 'constraints.txt').read_text()
    assert "license = 'Apache-2.0'" in (ROOT / 'pyproject.toml').read_text()


def test_a_config_in_an_empty_folder_trains_and_tests(installed: Path, shapes: Path, tmp_path: Path):
    (tmp_path / 'mine.py').write_text("_base_ = 'mmext::ssd300_iresnet50_coco.py'\n")
    environment = {**os.environ, 'PYTHONPATH': str(installed), 'OMP_NUM_THREADS': '1'}
    arguments = ['mine.py', '--backbone', 'iresnet18', '--data-root', shapes, '--classes', 'auto']

    def run(name: str, *more: object) -> str:
        done = subprocess.run([sys.executable, '-m', 'mmext', name, *map(str, [*arguments, *more])], cwd=tmp_path,
                              env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run('train', '--work-dir', 'run', '--cfg-options', *OPTIONS)
    assert 'AP50' in run('test', 'run/epoch_1.pth', '--cfg-options', 'test_dataloader.num_workers=0')
    where = subprocess.run([sys.executable, '-c', 'import mmext; print(mmext.__file__)'], cwd=tmp_path, env=environment,
                           capture_output=True, text=True).stdout.strip()
    assert Path(where) == installed / 'mmext' / '__init__.py'
