"""The precompiled header: used where it fits, noticed where it does not, done without where there is none."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.conftest import ROOT


@pytest.fixture(scope='module')
def build_mmcv() -> ModuleType:
    spec = importlib.util.spec_from_file_location('build_mmcv', ROOT / 'tools' / 'build_mmcv.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def environment() -> dict[str, str]:
    return {**os.environ, 'PATH': os.pathsep.join([str(Path(sys.executable).parent), os.environ['PATH']])}


@pytest.mark.parametrize('extra, used', [((), True), (('-fno-exceptions', ), False)])
def test_a_header_with_other_flags_is_noticed(build_mmcv: ModuleType, tmp_path: Path, extra: tuple, used: bool):
    header = tmp_path / 'once.h'
    header.write_text('inline int once() { return 1; }\n')
    subprocess.run(['g++', *build_mmcv.COMPILE_FLAGS, *build_mmcv.BUILD_FLAGS, *extra, '-x', 'c++-header', str(header),
                    '-o', f'{header}.gch'], check=True)
    assert build_mmcv.header_is_used(header, tmp_path / 'probe', environment()) is used


def test_a_compiler_that_refuses_means_the_plain_build(build_mmcv: ModuleType, tmp_path: Path, capsys):
    assert build_mmcv.precompile_header(tmp_path, {**environment(), 'CXX': 'false'}) is None
    assert 'cannot precompile the header' in capsys.readouterr().out


@pytest.mark.parametrize('code, found', [
    ("def version():\n    exec('number = 3')\n    return locals()['number']\nprint(version())", '3'),
    ("number = 1\nexec('number = 4')\nprint(number)", '4'),
    ("place = {}\nexec('number = 5', place)\nprint(place['number'])", '5'),
])
def test_exec_writes_where_locals_looks(build_mmcv: ModuleType, tmp_path: Path, code: str, found: str):
    """As mmcv's setup.py expects it, which Python 3.13 has changed."""
    (tmp_path / 'sitecustomize.py').write_text(build_mmcv.OLD_EXEC)
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True,
                          env={**os.environ, 'PYTHONPATH': str(tmp_path)})
    assert done.stdout.strip() == found, done.stderr


@pytest.mark.parametrize('torch_s, listed', [
    (['sm_80', 'sm_75', 'sm_120', 'compute_120'], '7.5;8.0;12.0+PTX'), (['sm_90a', 'sm_90'], '9.0+PTX'), ([], '')])
def test_architectures_are_those_of_torch(build_mmcv: ModuleType, torch_s: list[str], listed: str):
    assert build_mmcv.architectures(torch_s) == listed


def test_cuda_ops_without_cuda_are_refused(build_mmcv: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr('torch.version.cuda', None)
    with pytest.raises(SystemExit, match='CUDA ops need nvcc'):
        build_mmcv.build_environment(tmp_path, 'cuda')


def test_without_a_gpu_in_sight_architectures_are_named(build_mmcv: ModuleType, tmp_path: Path,
                                                        monkeypatch: pytest.MonkeyPatch):
    """torch's extension builder would find none, and end in an IndexError."""
    monkeypatch.setattr('torch.version.cuda', '13.0')
    monkeypatch.setattr('torch.utils.cpp_extension.CUDA_HOME', '/usr/local/cuda')
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    monkeypatch.setattr('torch._C._cuda_getArchFlags', lambda: 'sm_80 sm_90', raising=False)
    monkeypatch.delenv('TORCH_CUDA_ARCH_LIST', raising=False)
    env = build_mmcv.build_environment(tmp_path, 'auto')
    assert env['FORCE_CUDA'] == '1' and env['TORCH_CUDA_ARCH_LIST'] == '8.0;9.0+PTX'
    monkeypatch.setenv('TORCH_CUDA_ARCH_LIST', '7.0')
    assert build_mmcv.build_environment(tmp_path, 'auto')['TORCH_CUDA_ARCH_LIST'] == '7.0'
    monkeypatch.setenv('FORCE_CUDA', '1')
    assert 'FORCE_CUDA' not in build_mmcv.build_environment(tmp_path, 'cpu')
