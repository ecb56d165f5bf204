"""mmcv's build: the precompiled header where it fits, CUDA where it can be had, and a wheel for other machines."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.conftest import ROOT


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / 'tools' / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def build_mmcv() -> ModuleType:
    return load('build_mmcv')


def environment() -> dict[str, str]:
    return {**os.environ, 'PATH': os.pathsep.join([str(Path(sys.executable).parent), os.environ['PATH']])}


@pytest.mark.parametrize('extra, used', [((), True), (('-fno-exceptions', ), False)])
def test_a_header_with_other_flags_is_noticed(build_mmcv: ModuleType, tmp_path: Path, extra: tuple, used: bool):
    header = tmp_path / 'once.h'
    header.write_text('inline int once() { return 1; }\n')
    subprocess.run(['g++', *build_mmcv.COMPILE_FLAGS, *build_mmcv.BUILD_FLAGS, *extra, '-x', 'c++-header', str(header),
                    '-o', f'{header}.gch'], check=True)
    assert build_mmcv.header_is_used(header, tmp_path / 'probe', environment()) is used


def test_a_torch_that_adds_other_flags(build_mmcv: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """torch 2.6 names pybind11's compiler and the library's ABI: the header is compiled again, with these."""
    added = "-std=c++17 '-DPYBIND11_COMPILER_TYPE=\"_gcc\"' -D_GLIBCXX_USE_CXX11_ABI=0"
    compiler = tmp_path / 'compiler'
    compiler.write_text('#!/bin/sh\necho "$@" >> $(dirname $0)/calls\n')
    compiler.chmod(0o755)

    def header_is_used(header: Path, probe: Path, env: dict) -> bool:
        (probe / 'build').mkdir(parents=True, exist_ok=True)
        (probe / 'build' / 'build.ninja').write_text(f'cflags = -w\npost_cflags = {added}\ncuda_post_cflags = -x\n')
        return 'PYBIND11_COMPILER_TYPE' in (tmp_path / 'calls').read_text()

    monkeypatch.setattr(build_mmcv, 'header_is_used', header_is_used)
    assert build_mmcv.precompile_header(tmp_path, {**environment(), 'CXX': str(compiler)})
    first, second = (tmp_path / 'calls').read_text().splitlines()
    assert '-DPYBIND11_COMPILER_TYPE="_gcc" -D_GLIBCXX_USE_CXX11_ABI=0' in second and 'PYBIND11' not in first


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


@pytest.fixture
def toolkit(build_mmcv: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A torch for CUDA 13.0 without a GPU, and a toolkit that is whole but for the headers of CUDA's libraries."""
    home = tmp_path / 'cuda'
    for name, text in (('bin/nvcc', '#!/bin/sh\necho "Cuda compilation tools, release 13.2, V13.2.10"\n'),
                       ('include/cuda_runtime.h', ''), ('site/torch/__init__.py', ''),
                       *((f'site/nvidia/cu13/include/{name}', '') for name in build_mmcv.CUDA_HEADERS)):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)
    (home / 'bin' / 'nvcc').chmod(0o755)
    monkeypatch.setattr('torch.version.cuda', '13.0')
    monkeypatch.setattr('torch.utils.cpp_extension.CUDA_HOME', str(home))
    monkeypatch.setattr('torch.__file__', str(home / 'site' / 'torch' / '__init__.py'))
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    monkeypatch.setattr('torch._C._cuda_getArchFlags', lambda: 'sm_80 sm_90', raising=False)
    monkeypatch.setattr(build_mmcv, 'USUAL_CUDA_HOME', str(tmp_path / 'nowhere'))
    for name in ('TORCH_CUDA_ARCH_LIST', 'CPLUS_INCLUDE_PATH'):
        monkeypatch.delenv(name, raising=False)
    return home


def test_without_a_gpu_in_sight_architectures_are_named(build_mmcv: ModuleType, toolkit: Path, tmp_path: Path, capsys,
                                                        monkeypatch: pytest.MonkeyPatch):
    """torch's extension builder would find none, and end in an IndexError."""
    env = build_mmcv.build_environment(tmp_path, 'auto')
    assert env['FORCE_CUDA'] == '1' and env['TORCH_CUDA_ARCH_LIST'] == '8.0;9.0+PTX'
    assert 'CPU and CUDA ops for 8.0;9.0+PTX (no GPU in sight)' in capsys.readouterr().out
    monkeypatch.setenv('TORCH_CUDA_ARCH_LIST', '7.0')
    assert build_mmcv.build_environment(tmp_path, 'auto')['TORCH_CUDA_ARCH_LIST'] == '7.0'
    monkeypatch.setenv('FORCE_CUDA', '1')
    assert 'FORCE_CUDA' not in build_mmcv.build_environment(tmp_path, 'cpu')


@pytest.mark.parametrize('cores, free, expected', [
    (64, '40000000 kB', {'cpu': '40', 'auto': '18'}), (2, '40000000 kB', {'cpu': '2', 'auto': '2'}),
    (8, '500000 kB', {'cpu': '1', 'auto': '1'}), (8, None, {'cpu': '8', 'auto': '8'})])
def test_jobs_fit_into_cores_and_memory(cores: int, free: str | None, expected: dict[str, str], build_mmcv: ModuleType,
                                        toolkit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The cores are those that this process may use; a container often has fewer than the machine."""
    monkeypatch.setattr('os.sched_getaffinity', lambda process: set(range(cores)))
    monkeypatch.setattr(build_mmcv, 'MEMORY', tmp_path / 'meminfo')
    monkeypatch.delenv('MAX_JOBS', raising=False)
    if free:
        (tmp_path / 'meminfo').write_text(f'MemTotal: 99000000 kB\nMemFree: 12 kB\nMemAvailable: {free}\n')
    assert {ops: build_mmcv.build_environment(tmp_path, ops)['MAX_JOBS'] for ops in expected} == expected
    monkeypatch.setenv('MAX_JOBS', '3')
    assert build_mmcv.build_environment(tmp_path, 'cpu')['MAX_JOBS'] == '3'


def test_headers_that_a_toolkit_lacks_are_those_of_pip(build_mmcv: ModuleType, toolkit: Path, tmp_path: Path,
                                                       monkeypatch: pytest.MonkeyPatch):
    assert build_mmcv.cuda_environment() == dict(CUDA_HOME=str(toolkit),
                                                 CPLUS_INCLUDE_PATH=str(toolkit / 'site/nvidia/cu13/include'))
    # An nvcc that is a script on PATH: the toolkit is at its usual place.
    monkeypatch.setattr('torch.utils.cpp_extension.CUDA_HOME', str(tmp_path))
    monkeypatch.setattr(build_mmcv, 'USUAL_CUDA_HOME', str(toolkit))
    assert build_mmcv.cuda_environment()['CUDA_HOME'] == str(toolkit)
    for name in build_mmcv.CUDA_HEADERS:
        (toolkit / 'include' / name).touch()
    assert 'CPLUS_INCLUDE_PATH' not in build_mmcv.cuda_environment()


@pytest.mark.parametrize(('what', 'value', 'told'), [
    ('torch.version.cuda', None, 'this is a CPU build of torch'),
    ('torch.version.cuda', '12.4', 'nvcc is of CUDA 13, torch is built for CUDA 12.4'),
    ('torch.utils.cpp_extension.CUDA_HOME', None, 'there is no nvcc'),
    ('torch.utils.cpp_extension.CUDA_HOME', '/proc', '/proc has no bin/nvcc or include/cuda_runtime.h'),
    ('torch.__file__', '/proc/a/__init__.py', "cublas_v2.h, cusparse.h, cusolverDn.h of CUDA's libraries not found"),
])
def test_where_cuda_ops_cannot_be_built(what: str, value: str | None, told: str, build_mmcv: ModuleType, toolkit: Path,
                                        tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(what, value)
    with pytest.raises(SystemExit, match=f'CUDA ops cannot be built: {re.escape(told)}'):
        build_mmcv.build_environment(tmp_path, 'cuda')
    assert build_mmcv.build_environment(tmp_path, 'auto')['CUDA_VISIBLE_DEVICES'] == ''
    assert f'CPU ops alone ({told}' in capsys.readouterr().out


@pytest.mark.parametrize('works', [True, False])
def test_a_wheel_from_another_machine(works: bool, monkeypatch: pytest.MonkeyPatch):
    setup, installed = load('setup_env'), []
    monkeypatch.setenv('MMCV_WHEEL', 'wheels/mmcv-2.1.0-cp311-cp311-linux_x86_64.whl')
    monkeypatch.setattr(setup, 'pip', lambda *arguments: installed.append(arguments[-1]))
    monkeypatch.setattr(setup, 'succeeds', lambda statement: works and bool(installed))
    monkeypatch.setattr(setup, 'output', lambda statement: '2.13.0+cpu')
    if works:
        assert setup.build_mmcv() == 'installed mmcv-2.1.0-cp311-cp311-linux_x86_64.whl'
    else:
        with pytest.raises(SystemExit, match=r'cannot be imported with torch 2\.13\.0\+cpu'):
            setup.build_mmcv()
    assert installed == ['wheels/mmcv-2.1.0-cp311-cp311-linux_x86_64.whl']
