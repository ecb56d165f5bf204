"""tools/predict.py with a small detector of random weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from mmengine.registry import MODELS, init_default_scope

from mmext.engine.config import load_config
from tests.conftest import CONFIG, ROOT, error_line
from tests.tools.helpers import here, succeeded
from tests.video.clips import write

SSD = (CONFIG, '--backbone', 'iresnet18')


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of three classes, which the config does not know."""
    config = load_config(ROOT / CONFIG, backbone='iresnet18')
    config.model.bbox_head.num_classes = 3
    init_default_scope('mmdet')
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    model.init_weights()
    path = tmp_path_factory.mktemp('w') / 'a.pth'
    torch.save(dict(state_dict=model.state_dict(), meta=dict(dataset_meta=dict(classes=('x', 'y', 'z')))), path)
    return path


def test_images_and_videos(checkpoint: Path, shapes: Path, tmp_path: Path) -> None:
    video, out = write(tmp_path / 'a.mp4', frames=2), tmp_path / 'new' / 'out'
    printed = succeeded(here('predict.py', *SSD, checkpoint, shapes / 'val2017', video, '--out', out, '--score', 0.1,
                             '--device', 'cpu'))
    found = json.loads((out / 'predictions.json').read_text())
    assert found['classes'] == ['x', 'y', 'z'] and found['score'] == 0.1 and not found['skipped']
    assert [entry['kind'] for entry in found['files']] == ['image', 'image', 'video']
    images, frames = found['files'][:2], found['files'][2]['frames']
    assert len(frames) == 2 and all(entry['boxes'] and min(entry['scores']) >= 0.1 for entry in (*images, *frames))
    assert {name for entry in images for name in entry['classes']} <= {'x', 'y', 'z'}
    assert {entry['output'] for entry in found['files']} | {'predictions.json'} == {
        path.relative_to(out).as_posix() for path in out.rglob('*')}
    assert f'{sum(len(entry["boxes"]) for entry in (*images, *frames))} detections in 3 files:' in printed
    assert str(out / 'predictions.json') in printed


def test_what_can_not_be_read_is_named(checkpoint: Path, shapes: Path, tmp_path: Path) -> None:
    bad = tmp_path / 'bad.jpg'
    bad.write_bytes(b'hello')
    image = next((shapes / 'val2017').iterdir())
    done = here('predict.py', *SSD, checkpoint, tmp_path / 'none.png', bad, image, '--out', tmp_path / 'out')
    assert done.returncode == 1
    assert f'skipped: {tmp_path / "none.png"}: no such file\n' in done.stderr
    assert f'skipped: {bad}: not an image\n' in done.stderr
    assert (tmp_path / 'out' / image.name).is_file() and not (tmp_path / 'out' / 'bad.jpg').exists()
    assert ' detections in 1 files: ' in done.stdout
    assert '%|' not in done.stderr, 'no progress bar but on a terminal'
    nothing = here('predict.py', *SSD, checkpoint, tmp_path / 'none.png', '--out', tmp_path / 'unused')
    assert nothing.returncode == 1 and not (tmp_path / 'unused').exists()


@pytest.mark.parametrize('arguments, told', [
    (['--score', '1.5'], '--score 1.5: need a number from 0 to 1'),
    (['--score', 'nan'], '--score nan: need'),
    (['--device', 'cuda:77'], '--device cuda:77: torch sees'),
    (['--out', '{checkpoint}'], "can't write there"),
    (['--out', '{images}'], 'would be written among the images'),
    (['--cfg-options', 'model.bbox_head.num_clases=3'], 'num_clases'),
    (['--backbone', 'resnet50'], 'tensors of SingleStageDetector fit')])
def test_mistakes(checkpoint: Path, shapes: Path, tmp_path: Path, arguments: list[str], told: str) -> None:
    images = shapes / 'val2017'
    given = [argument.format(checkpoint=checkpoint, images=images) for argument in arguments]
    out = [] if '--out' in given else ['--out', tmp_path / 'out']
    assert told in error_line(here('predict.py', *SSD, checkpoint, images, *given, *out))
    assert not (tmp_path / 'out' / 'predictions.json').exists()


def test_paths(checkpoint: Path, shapes: Path) -> None:
    def told(*arguments: object) -> str:
        return error_line(here('predict.py', *arguments))

    assert 'http://example.com/a.jpg: URLs are not read' in told(*SSD, checkpoint, 'http://example.com/a.jpg')

    assert 'no such checkpoint' in told(*SSD, shapes / 'none.pth', shapes / 'val2017', '--out', shapes / 'out')
    assert f'{CONFIG}: give a checkpoint, and images or videos after it' in told(CONFIG)
    assert f'{checkpoint}: give images or videos after it' in told(CONFIG, checkpoint)
    assert f'{checkpoint}: give images or videos after it' in told(checkpoint)
    assert f'{checkpoint}: it does not contain its config' in told(checkpoint, shapes / 'val2017')
    assert 'a.pth: a backbone or options change a config' in told(checkpoint, shapes, '--backbone', 'resnet50')
    assert 'mmext::nothing: no such config' in told('mmext::nothing', checkpoint, shapes)
    assert 'nowhere::nothing: no installed package nowhere' in told('nowhere::nothing', checkpoint, shapes)
    assert '--views: needs a config for videos' in told(*SSD, checkpoint, shapes / 'val2017', '--views', '1x1')


def test_a_json_file_alone(checkpoint: Path, shapes: Path, tmp_path: Path) -> None:
    """With a config of the package, by its name."""
    video = write(tmp_path / 'a.mp4', frames=2)
    succeeded(here('predict.py', 'mmext::ssd300_iresnet50_coco', *SSD[1:], checkpoint, shapes / 'val2017', video,
                   '--out', tmp_path / 'found.json', '--score', 0.1))
    found = json.loads((tmp_path / 'found.json').read_text())
    assert len(found['files']) == 3 and all('output' not in entry for entry in found['files'])
    assert sorted(path.name for path in tmp_path.iterdir()) == ['a.mp4', 'found.json']
