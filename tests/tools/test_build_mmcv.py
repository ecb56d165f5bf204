"""The precompiled header: used where it fits, noticed where it does not, done without where there is none."""

from __future__ import annotations

import importlib.util
import os
import subprocess
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
    import sys
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
    assert 'refuses to precompile' in capsys.readouterr().out
