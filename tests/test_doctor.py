"""python -m mmext.doctor, with everything there and with something missing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import run


def test_all_in_order():
    done = run('-m', 'mmext.doctor')
    assert done.returncode == 0, done.stdout
    assert 'all in order' in done.stdout and 'compiled ops' in done.stdout and 'SSDHead can predict' in done.stdout


def test_repairs_of_modules_that_are_not_imported_yet():
    """mmaction2's transforms are nobody's to import here; mmdet's head is among what is tried."""
    told = ' '.join(run('-m', 'mmext.doctor').stdout.split())
    done = re.findall(r'repaired: .*? \((\w+)\)', told)
    ready = re.findall(r'in place for ([\w., ]+), not imported yet, against: .*? \((\w+)\)', told)
    assert ('mmaction.datasets.transforms.processing', 'fix_hue_overflow') in ready
    assert 'against: OverflowError: Python integer -13 out of bounds for uint8' in told
    names = [name for _, name in ready]
    assert 'add_loss_cls_to_ssd_head' in done and 'add_loss_cls_to_ssd_head' not in names
    assert len(names) == len(set(names))


def test_what_only_helps_is_no_failure(tmp_path: Path):
    (tmp_path / 'sitecustomize.py').write_text(
        'import importlib.util as util\nfind = util.find_spec\n'
        "util.find_spec = lambda name, *rest: None if name in ('hotcoco', 'safetensors') else find(name, *rest)\n")
    done = run('-m', 'mmext.doctor', env={'PYTHONPATH': str(tmp_path)})
    assert done.returncode == 0 and 'all in order' in done.stdout
    told = ' '.join(done.stdout.split())
    assert 'mmext test --report, .safetensors files' in told and 'pip install hotcoco safetensors' in told


def hide(tmp_path: Path, module: str) -> dict:
    """An environment in which a module can't be imported."""
    (tmp_path / 'sitecustomize.py').write_text(f"import sys\nsys.modules['{module}'] = None\n")
    return {'PYTHONPATH': str(tmp_path)}


def test_missing_ops(tmp_path: Path):
    done = run('-m', 'mmext.doctor', env=hide(tmp_path, 'mmcv._ext'))
    assert done.returncode == 1
    assert 'built without compiled ops' in done.stdout and 'tools/build_mmcv.py' in done.stdout


@pytest.mark.parametrize('module, mend', [('mmdet', 'mmdet==3.3.0'), ('mmengine', 'mmengine==0.10.7'),
                                          ('torch', 'torch==2.13.0')])
def test_missing_library(tmp_path: Path, module: str, mend: str):
    done = run('-m', 'mmext.doctor', env=hide(tmp_path, module))
    assert done.returncode == 1, done.stderr
    assert f'missing: {module}' in done.stdout and mend in done.stdout.split('. Install ')[1]
