"""No command runs what a checkpoint from the web holds."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.checkpoints.conftest import Harm, Server
from tests.classification.helpers import write_cifar10
from tests.conftest import CONFIG, ROOT, error_line
from tests.tools.helpers import here

RECIPE = 'configs/classification/rir_cifar10.py'
BACKBONE = 'model.backbone.init_cfg'
COMMANDS = {
    'load_from': ('train.py', RECIPE, '--cfg-options', 'load_from={url}'),
    'resume': ('train.py', RECIPE, '--resume', '{url}'),
    'resume=True': ('train.py', RECIPE, '--cfg-options', 'load_from={url}', 'resume=True'),
    'init_cfg': ('train.py', RECIPE, '--cfg-options', f'{BACKBONE}.type=Pretrained', f'{BACKBONE}.checkpoint={{url}}'),
    'test': ('test.py', RECIPE, '{url}'),
    'convert': ('convert_weights.py', '{url}', '{out}/x.safetensors'),
    'export backbone': ('export.py', 'backbone', 'rir_cnn32', '--checkpoint', '{url}', '--out', '{out}/x.onnx'),
    'export detector': ('export.py', 'detector', CONFIG, '{url}', '--out', '{out}/x.onnx'),
    'predict': ('predict.py', CONFIG, '{url}', '{out}/x.jpg', '--out', '{out}/found'),
    'recognize': ('recognize.py', 'configs/demo/iresnet3d18_motion.py', '{url}', '{out}/x.mp4'),
    'benchmark': ('benchmark.py', RECIPE, '--only', 'latency', '--repeats', '1', '--cfg-options', 'load_from={url}'),
}


@pytest.mark.parametrize('command', COMMANDS)
def test_code_from_the_web_is_not_run(command: str, web: tuple[Path, str], tmp_path: Path,
                                      monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    folder, url = web
    torch.save(dict(state_dict=Harm(tmp_path / 'ran')), folder / 'x.pth')
    write_cifar10(tmp_path / 'cifar', 2)
    for name in ('x.jpg', 'x.mp4'):
        (tmp_path / name).write_bytes(b'')
    script, *arguments = (part.format(url=f'{url}/x.pth', out=tmp_path) for part in COMMANDS[command])
    if script in ('train.py', 'test.py'):
        place = ('--data-root', str(tmp_path / 'cifar'), '--work-dir', str(tmp_path / 'run'))
        arguments = [arguments[0], *place, *arguments[1:]]
    line = error_line(here(script, *arguments))
    assert f'{url}/x.pth: holds pathlib.Path, which could run code' in line
    assert Server.asked == ['/x.pth'] and not (tmp_path / 'ran').exists()
