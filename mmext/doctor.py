"""Reports what is installed, what is repaired and what is missing: python -m mmext.doctor"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import io
import shutil
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

import mmext
from mmext import compat

PIP_OPENMMLAB = "pip install --no-deps 'mmengine==0.10.7' 'mmdet==3.3.0' 'mmaction2==1.2.0'"
BUILD_MMCV = "pip install 'setuptools<81' wheel ninja psutil && python tools/build_mmcv.py --build-dir build"
LITTLE_SHARED_MEMORY = 2**30  # bytes, of which Docker's 64 MB are far
OPENCVS = ('opencv-python', 'opencv-python-headless', 'opencv-contrib-python', 'opencv-contrib-python-headless')


@dataclass(frozen=True)
class Need:
    """A module that mmext needs, and the command that installs it."""

    module: str
    install: str
    what: str = ''


NEEDS = (
    Need('torch', "pip install 'torch==2.13.0'"),
    Need('numpy', 'pip install numpy'),
    Need('cv2', 'pip install opencv-contrib-python-headless'),
    Need('pycocotools', 'pip install pycocotools'),
    Need('mmengine', PIP_OPENMMLAB),
    Need('mmcv', BUILD_MMCV),
    Need('mmcv.ops', BUILD_MMCV, 'compiled ops'),
    Need('mmdet.models', PIP_OPENMMLAB, 'detection'),
    Need('mmdet.datasets', PIP_OPENMMLAB),
    Need('mmaction.models', PIP_OPENMMLAB, 'action recognition'),
)
# Optional modules: without them a command takes longer, or fails and says what to install.
HELPFUL = {'hotcoco': 'COCO evaluation in a fraction of the time, mmext test --report',
           'msgspec': 'large annotation files in a fraction of the time',
           'safetensors': '.safetensors files',
           'jinja2': 'mmext test --report',
           'tensorboard': 'mmext train --tensorboard',
           'onnx': 'mmext export', 'onnxscript': 'mmext export', 'onnxruntime': 'mmext export, --engine onnxruntime',
           'openvino': '--engine openvino'}


def main() -> int:
    """Prints the report. Returns the exit code: 1 if a required module is missing, else 0."""
    console = Console(width=max(110, Console().width), highlight=False)
    table = Table(title=f'mmext {mmext.__version__}, Python {sys.version.split()[0]}', title_justify='left')
    for column in ('module', 'version', ''):
        table.add_column(column)
    failures = {}
    for need in NEEDS:
        error = import_error(need.module)
        table.add_row(need.module, '-' if error else version_of(need.module), f'[red]{error}' if error else need.what)
        if error:
            failures[need.module] = need.install
    for module, what in HELPFUL.items():
        version = version_of(module) if compat.installed(module) else '-'
        table.add_row(module, version, what)
    console.print(table)
    for name, effect in compat.applied().items():
        console.print(f'repaired: {effect} ({name})')
    for repair, modules in compat.pending().items():
        symptom = (repair.__doc__ or '').partition('\n')[0].rstrip('.')
        console.print(f'in place for {", ".join(modules)}, not imported yet, against: {symptom} ({repair.__name__})',
                      markup=False)
    for remark in remarks():
        console.print(f'note: {remark}')
    if failures:
        first = next(iter(failures))
        console.print(f'missing: {", ".join(failures)}. Install {first} first:\n    {failures[first]}', soft_wrap=True,
                      markup=False)
        return 1
    console.print('all in order')
    return 0


def import_error(module: str) -> str:
    """Why a module can't be imported, on one line; '' if it can be."""
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter('ignore')
            importlib.import_module(module)
    except Exception as error:  # a broken package can raise anything on import, and is reported
        text = ' '.join(str(error).split()) or type(error).__name__
        return f'built without compiled ops ({text})' if 'mmcv._ext' in text else text[:160]
    return ''


def version_of(module: str) -> str:
    """The version of the package that a module belongs to."""
    package = sys.modules.get(module.partition('.')[0])
    return getattr(package, '__version__', None) or importlib.metadata.version(module.replace('_', '-'))


def remarks() -> list[str]:
    """Remarks on the installation that are worth knowing but are no failures."""
    found = []
    absent = [module for module in HELPFUL if not compat.installed(module)]
    if absent:
        uses = ', '.join(dict.fromkeys(HELPFUL[module] for module in absent))
        found.append(f'not installed, for {uses}: pip install {" ".join(absent).replace("_", "-")}')
    installed = [name for name in OPENCVS if has_distribution(name)]
    if len(installed) > 1:
        found.append(f'{len(installed)} OpenCVs are installed into one folder ({", ".join(installed)}); keep only one')
    elif installed:
        found.append(f'{installed[0]} is used as opencv-python (by mmcv, mmengine) and as opencv-contrib-python (by '
                     'mmaction2); pip check may report these two as missing, which can be ignored')
    shared = shutil.disk_usage('/dev/shm').total if Path('/dev/shm').is_dir() else LITTLE_SHARED_MEMORY
    if shared < LITTLE_SHARED_MEMORY:
        found.append(f'/dev/shm has {shared / 1e6:,.0f} MB, too little for loaders with '
                     'workers; start the container with docker run --shm-size=8g')
    torch = sys.modules.get('torch')
    if torch is not None and not torch.cuda.is_available():
        found.append('torch sees no GPU; everything runs on the CPU')
    elif torch is not None and 'mmcv.ops' in sys.modules:
        from mmext.operators import built_for_cuda
        if not built_for_cuda():
            found.append('torch sees a GPU, but mmcv was built without CUDA ops; with nvcc installed: ' + BUILD_MMCV)
    return found


def has_distribution(name: str) -> bool:
    """Whether a distribution of this name is installed."""
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


if __name__ == '__main__':
    sys.exit(main())
