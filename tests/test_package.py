"""The wheel is whole: from an empty folder, every task trains and tests with what the wheel alone brings."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
import yaml

import mmext
from tests.classification.helpers import write_folders
from tests.conftest import OPTIONS, ROOT, Tool


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
def console(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command mmext of an environment in which the wheel is installed. It shares the libraries of this one."""
    folder = tmp_path_factory.mktemp('environment')
    venv.create(folder, with_pip=False)
    python = folder / 'bin' / 'python'
    site = subprocess.run([python, '-c', 'import sysconfig; print(sysconfig.get_path("purelib"))'], check=True,
                          capture_output=True, text=True).stdout.strip()
    Path(site, 'libraries.pth').write_text(f'{sysconfig.get_path("purelib")}\n')
    subprocess.run([sys.executable, '-m', 'pip', '--python', python, 'install', '--quiet', '--no-deps', '--no-index',
                    wheel], check=True, capture_output=True, text=True)
    return folder / 'bin' / 'mmext'


def test_the_wheel_has_every_module_config_page_and_weight(wheel: Path):
    names = set(zipfile.ZipFile(wheel).namelist())
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / 'mmext').rglob('*.py') if '.mim' not in path.parts}
    configs = {f'mmext/.mim/{path.relative_to(ROOT)}' for path in (ROOT / 'configs').rglob('*.py')}
    tools = {f'mmext/.mim/{path.relative_to(ROOT)}' for path in (ROOT / 'tools').glob('*.py')}
    other = {'mmext/py.typed', 'mmext/.mim/model-index.yml', 'mmext/.mim/configs/metafile.yml',
             'mmext/analysis/published.json', 'mmext/detection/report/papers.json'}
    weights = {str(path.relative_to(ROOT)) for path in (ROOT / 'mmext' / 'pretrained').glob('*.*')}
    assert not (modules | configs | tools | other | weights) - names
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


def outside(folder: Path, *command: object) -> str:
    """What a command prints that runs in a folder and knows nothing of the checkout."""
    environment = {key: value for key, value in os.environ.items() if key != 'PYTHONPATH'}
    done = subprocess.run(list(map(str, command)), cwd=folder, env={**environment, 'OMP_NUM_THREADS': '1'},
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


COMMON = ('train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False', 'val_dataloader.num_workers=0',
          'val_dataloader.persistent_workers=False', 'test_dataloader.num_workers=0',
          'test_dataloader.persistent_workers=False', 'train_cfg.max_epochs=1')
# A config by its name in the package or in a file of its own, flags, options, and a metric that the test prints.
TASKS = dict(
    detection=('mine.py', ('--backbone', 'iresnet18', '--classes', 'auto'), OPTIONS, 'AP50'),
    recognition=('mmext::demo/iresnet3d18_motion.py', (), (
        'train_dataloader.batch_size=6', 'model.backbone.num_stages=2', 'model.cls_head.in_channels=128',
        'model.backbone.temporal_strides=(1,2)'), 'top1'),
    classification=('mmext::classification/iresnet_imagenet.py', ('--backbone', 'iresnet18', '--classes', 'auto'), (
        'train_dataloader.batch_size=2', ), 'top1'))


@pytest.fixture(scope='module')
def data(tool: Tool, shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two or three batches of each task."""
    folder = tmp_path_factory.mktemp('data')
    made = tool('make_motion.py', folder / 'motion', '--train', 2, '--val', 1, '--size', 48)
    assert made.returncode == 0, made.stderr
    for split, count in (('train', 2), ('val', 1)):
        write_folders(folder / 'folders' / split, dict(cat=count, dog=count), '.jpg', (60, 80))
    return dict(detection=shapes, recognition=folder / 'motion', classification=folder / 'folders')


@pytest.mark.parametrize('task', TASKS)
def test_every_task_trains_and_tests_in_an_empty_folder(task: str, console: Path, data: dict[str, Path],
                                                        tmp_path: Path):
    config, flags, options, metric = TASKS[task]
    (tmp_path / 'mine.py').write_text("_base_ = 'mmext::ssd300_iresnet50_coco.py'\n")

    def run(name: str, *arguments: object) -> str:
        return outside(tmp_path, console, name, *arguments)

    given = (*flags, '--data-root', data[task], '--work-dir', 'run', '--cfg-options', *COMMON, *options)
    run('train', config, *given)
    assert metric in run('test', config, 'run/epoch_1.pth', *given)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['mine.py', 'run']


def test_the_wheel_is_what_runs(console: Path, tmp_path: Path):
    where = outside(tmp_path, console.with_name('python'), '-c', 'import mmext; print(mmext.__file__)')
    assert Path(where).is_relative_to(console.parents[1])
