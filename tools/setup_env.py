"""Creates .venv with everything that mmext needs. Runs on a plain Python; a second call only adds what is missing.

A working torch or mmcv in .venv is kept, and so is a torch of the Python that runs this. The environment variable TORCH
selects another version, for example TORCH='torch==2.7.1 --index-url URL'. MMCV_WHEEL is a wheel of mmcv that
tools/build_mmcv.py has built on another machine; without it, mmcv is compiled.

On a machine without a network, WHEELS names a folder that ``tools/setup_env.py --fill FOLDER`` has filled on another
one: wheels of everything but torch, and the source of mmcv.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / '.venv'
PYTHON = VENV / 'bin' / 'python'
DEFAULT_TORCH = 'torch==2.13.0'
BUILD_TOOLS = ['setuptools<81', 'wheel', 'ninja', 'psutil']  # mmcv's setup.py needs pkg_resources, gone from 81
PLATFORMS = ('manylinux_2_28_x86_64', 'manylinux_2_17_x86_64', 'manylinux2014_x86_64', 'linux_x86_64')
OLDEST, NEWEST_TRIED = (3, 10), (3, 14)
OPENMMLAB = ['mmengine', 'mmdet', 'mmaction2']
STEPS = ['Python', 'torch', 'libraries', 'mmcv with compiled ops', 'mmext']


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--fill', type=Path, metavar='FOLDER', help='install nothing, and download all that an '
                        'installation needs, except torch, into a folder for WHEELS')
    parser.add_argument('--for-python', metavar='3.12', help='the Python that the folder is for (default: this one); '
                        'Linux on x86_64')
    args = parser.parse_args()
    if args.for_python and not args.fill:
        parser.error('--for-python belongs to --fill')
    if args.fill:
        return fill(args.fill, args.for_python)
    return set_up()


def set_up() -> int:
    version = sys.version_info[:2]
    if version < OLDEST:
        print(f'error: this is Python {sys.version.split()[0]}, mmext needs 3.10 or newer; choose another one with '
              'make PYTHON=python3.12 ...', file=sys.stderr)
        return 2
    if version > NEWEST_TRIED:
        print('note: tested up to Python {}.{}, this is {}.{}'.format(*NEWEST_TRIED, *version), flush=True)
    if obstacle := use_wheels():
        print(f'error: {obstacle}', file=sys.stderr)
        return 2
    started = time.time()
    actions = (make_venv, install_torch, install_libraries, build_mmcv, install_mmext)
    for number, (title, action) in enumerate(zip(STEPS, actions), 1):
        begun = time.time()
        print(f'[{number}/{len(STEPS)}] {title}', flush=True)
        try:
            print(f'    {action()} ({time.time() - begun:.0f} s)', flush=True)
        except subprocess.CalledProcessError as failure:
            print(f'error: set-up stopped at {title!r}: {shlex.join(map(str, failure.cmd))[:300]} ended with code '
                  f'{failure.returncode}; a second call continues from here', file=sys.stderr)
            return 1
    print(f'environment ready in {time.time() - started:.0f} s', flush=True)
    return 0


def use_wheels() -> str:
    """Makes pip take packages from the folder WHEELS alone, if it is set; returns what is wrong with that folder."""
    if not os.environ.get('WHEELS'):
        return ''
    folder = Path(os.environ['WHEELS']).absolute()
    if re.search(r'\s', str(folder)):
        return f'WHEELS={folder}: pip takes no folder with a space in its path'
    if not list(folder.glob('*.whl')):
        return f'WHEELS={folder}: no wheels there; tools/setup_env.py --fill {folder} downloads them'
    if not os.environ.get('MMCV_WHEEL') and not list(folder.glob('mmcv-*.tar.gz')):
        return f'WHEELS={folder}: no source of mmcv there; tools/setup_env.py --fill {folder} downloads it'
    os.environ.update(PIP_NO_INDEX='1', PIP_FIND_LINKS=str(folder))
    return ''


def fill(folder: Path, python: str | None) -> int:
    """Downloads what the steps of a set-up install, except torch; mmcv as source."""
    folder.mkdir(parents=True, exist_ok=True)
    constraints = constraints_without_torch(folder / 'constraints.txt')
    wheels = ['--only-binary=:all:']
    if python:
        wheels += ['--python-version', python, *(word for name in PLATFORMS for word in ('--platform', name))]
    try:
        download(folder, '-c', constraints, *wheels, *BUILD_TOOLS, '-r', ROOT / 'requirements.txt')
        download(folder, '--no-deps', '-c', constraints, *wheels, *OPENMMLAB)
        if not list(folder.glob('mmcv-*.tar.gz')):
            download(folder, '--no-deps', '--no-build-isolation', '--no-binary=:all:', pinned_mmcv())
    except subprocess.CalledProcessError as failure:
        print(f'error: pip download ended with code {failure.returncode}; a second call continues', file=sys.stderr)
        return 1
    print(f'{folder}: {len(list(folder.glob("*.whl")))} wheels and the source of mmcv; on the other machine, whose '
          f'Python has torch: make setup WHEELS={folder.name}')
    return 0


def download(folder: Path, *arguments: object) -> None:
    run(sys.executable, '-m', 'pip', 'download', '--quiet', '--disable-pip-version-check', '-d', folder, *arguments)


def constraints_without_torch(path: Path) -> Path:
    """Writes the tested constraints, except those of torch and mmcv, into a file."""
    lines = (ROOT / 'constraints.txt').read_text().splitlines()
    path.write_text('\n'.join(line for line in lines if not re.match(r'(torch|mmcv)\b', line)) + '\n')
    return path


def pinned_mmcv() -> str:
    return re.search(r'^mmcv==.+', (ROOT / 'constraints.txt').read_text(), re.MULTILINE)[0]


def make_venv() -> str:
    if succeeds('import pip'):
        return 'kept .venv'
    torch_outside = subprocess.run([sys.executable, '-c', 'import torch'], capture_output=True).returncode == 0
    venv.EnvBuilder(with_pip=True, clear=True, system_site_packages=torch_outside).create(VENV)
    return f'created .venv, Python {sys.version.split()[0]}' + (' with its own torch' if torch_outside else '')


def install_torch() -> str:
    if not succeeds('import torch') or os.environ.get('TORCH') and not fits(os.environ['TORCH']):
        pip(*shlex.split(os.environ.get('TORCH') or DEFAULT_TORCH))
    return 'torch ' + output('import torch; print(torch.__version__)')


def install_libraries() -> str:
    """Installs the requirements under the tested constraints.

    OpenMMLab's libraries are installed without dependencies, because they require two OpenCV packages that overwrite
    each other, and an mmcv that has no wheel.
    """
    constraints = constraints_without_torch(VENV / 'constraints.txt')
    pip('-c', str(constraints), *BUILD_TOOLS, '-r', str(ROOT / 'requirements.txt'))
    pip('--no-deps', '-c', str(constraints), *OPENMMLAB)
    return 'libraries as in constraints.txt'


def build_mmcv() -> str:
    if succeeds('import mmcv.ops'):
        return 'kept mmcv ' + output('import mmcv; print(mmcv.__version__)')
    if wheel := os.environ.get('MMCV_WHEEL'):
        pip('--no-deps', '--force-reinstall', wheel)
        if not succeeds('import mmcv.ops'):
            raise SystemExit(f'error: the ops of {wheel} cannot be imported with torch '
                             f'{output("import torch; print(torch.__version__)")}; a wheel of mmcv needs the torch and '
                             'the Python that it was built for, and a Linux that is no older')
        return 'installed ' + Path(wheel).name
    run(PYTHON, ROOT / 'tools' / 'build_mmcv.py', '--requirement', pinned_mmcv(), '--build-dir', VENV / 'build')
    return 'built ' + pinned_mmcv()


def install_mmext() -> str:
    if not succeeds('import importlib.metadata as m; assert m.entry_points(group="console_scripts", name="mmext")'):
        pip('--no-deps', '--no-build-isolation', '-e', str(ROOT))
    run(PYTHON, '-m', 'mmext.doctor')
    return 'python -m mmext.doctor finds no problems'


def fits(torch: str) -> bool:
    """Whether the installed torch is the one that TORCH names, and need not be installed again."""
    wanted = re.match(r'torch==([^\s;]+)', torch)
    installed = output('import torch; print(torch.__version__)')
    return bool(wanted) and wanted[1] in (installed, installed.partition('+')[0])


def pip(*arguments: str) -> None:
    run(PYTHON, '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', *arguments)


def run(*command: object) -> None:
    subprocess.run(list(map(str, command)), check=True)


def succeeds(statement: str) -> bool:
    return PYTHON.exists() and subprocess.run([PYTHON, '-c', statement], capture_output=True).returncode == 0


def output(statement: str) -> str:
    return subprocess.run([PYTHON, '-c', statement], check=True, capture_output=True, text=True).stdout.strip()


if __name__ == '__main__':
    sys.exit(main())
