"""The worked example of docs/architecture.md, run as it is printed."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from tests.conftest import ROOT, run

CHECK = """
import torch, mmext
from mmengine.registry import init_default_scope, MODELS
from mmext.engine.config import load_config
config = load_config('{config}')
assert 'linear_resnet50' in mmext.list_backbones()
init_default_scope('mmdet')
detector = MODELS.build(config.model).eval()
scores, boxes = detector._forward(torch.randn(1, 3, 300, 300))
print(type(detector.backbone).__name__, [tuple(score.shape[2:]) for score in scores])
block = detector.backbone.layer1[1]
x = torch.randn(1, 256, 8, 8)
assert (block(x) < 0).any(), 'nothing follows the addition'
"""


def printed_files() -> dict[str, str]:
    """The page's code blocks by the file name in their first line."""
    blocks = re.findall(r'```python\n# (\S+)\n(.*?)```', (ROOT / 'docs' / 'architecture.md').read_text(), re.DOTALL)
    return dict(blocks)


def test_new_network_as_printed(tmp_path: Path):
    files = printed_files()
    network, config = files['linear_resnet.py'], files['ssd300_linear_resnet50_coco.py']
    assert len([line for line in config.splitlines() if line.strip()]) == 4
    (tmp_path / 'linear_resnet.py').write_text(network)
    place = Path(shutil.copytree(ROOT / 'configs', tmp_path / 'configs')) / 'ssd300_linear_resnet50_coco.py'
    place.write_text(config)
    done = run('-c', CHECK.format(config=place), env={**os.environ, 'PYTHONPATH': str(tmp_path)})
    assert done.returncode == 0, done.stderr[-2000:]
    assert 'LinearResNet [(38, 38), (19, 19), (10, 10), (5, 5), (3, 3), (1, 1)]' in done.stdout
