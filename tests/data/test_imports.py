"""What reads videos starts quickly: neither torch nor OpenMMLab's libraries are imported, each in a fresh process."""

from __future__ import annotations

import pkgutil
from pathlib import Path

import pytest

import mmext.data.video
from tests.conftest import ROOT, run

SLOW = ('torch', 'mmcv', 'mmdet', 'mmaction')
FOUND = f'print([name for name in {SLOW} + ("mmengine", ) if name in sys.modules])'
ROOM = [module.name for module in pkgutil.walk_packages(mmext.data.video.__path__, 'mmext.data.video.')]


def imported(code: str) -> str:
    done = run('-c', f'import sys; {code}; {FOUND}')
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def test_the_whole_room() -> None:
    assert 'mmext.data.video.prepare.convert' in ROOM and 'mmext.data.video.reader' in ROOM
    assert imported(f'import {", ".join(ROOM)}') == '[]'
    assert imported('from mmext.data.video import VideoReader') == '[]'


@pytest.mark.parametrize('command', ['check', 'resize', 'frames'])
def test_the_command_that_prepares_videos(command: str, tmp_path: Path) -> None:
    """It runs to its end, in one process; mmengine, which is in the frame of every command, is no slow one."""
    (tmp_path / 'videos').mkdir()
    (tmp_path / 'videos' / 'a.mp4').write_bytes(b'no video')
    options = {'check': ['--report'], 'resize': ['--short-side', '32', '--out'], 'frames': ['--out']}
    arguments = [command, str(tmp_path / 'videos'), *options[command], str(tmp_path / 'out'), '--workers', '0']
    code = (f'import runpy; sys.argv = {["prepare_video.py", *arguments]!r}\n'
            f'try: runpy.run_path({str(ROOT / "tools" / "prepare_video.py")!r}, run_name="__main__")\n'
            f'except SystemExit as end: print("exit", end.code)\n')
    done = run('-c', f'import sys\n{code}\nprint([name for name in {SLOW} if name in sys.modules])')
    assert done.stdout.splitlines()[-2:] == ['exit 1', '[]'], done.stdout + done.stderr


def test_names_are_registered_when_mmengine_is_imported() -> None:
    """In either order, and by a config's ``custom_imports``."""
    for first in ('import mmext', 'import mmengine.registry, mmext', 'import mmext, torch',
                  'from mmengine.utils import import_modules_from_strings as custom; custom(["mmext"])'):
        done = run('-c', f'{first}; from mmengine.registry import MODELS, TRANSFORMS; '
                   'assert "mmext" in MODELS.children and "mmext" in TRANSFORMS.children')
        assert done.returncode == 0, done.stderr
