"""``mmext.load``: trained models from their checkpoints, for files and arrays, in all tasks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from PIL import Image

import mmext
from mmext.backbones.trained import Trained
from mmext.checkpoints import write_weights
from mmext.checkpoints.format import KEY
from mmext.checkpoints.stored import pack, unpack
from mmext.classification.results import Classified
from mmext.data.video import VideoReader
from mmext.detection.results import DetectedVideo, Detections
from mmext.engine.config import load_config
from mmext.errors import UserError
from mmext.inference import Inferencer
from mmext.video.results import Recognized
from tests.conftest import ROOT
from tests.video.clips import write

CONFIGS = dict(detection='ssd300_iresnet50_coco', classification='classification/iresnet_imagenet',
               recognition='iresnet3d50_kinetics400')
SMALLER = dict(detection={'model.bbox_head.num_classes': 3}, classification={'model.num_classes': 3},
               recognition={'model.backbone.depth': 18, 'model.backbone.num_stages': 2, 'model.cls_head.num_classes': 3,
                            'model.cls_head.in_channels': 128, 'test_dataloader.dataset.pipeline.1.clip_len': 2,
                            'test_dataloader.dataset.pipeline.3.scale': (-1, 40),
                            'test_dataloader.dataset.pipeline.4.crop_size': 40})
NAMES = ('x', 'y', 'z')


def config_of(task: str) -> Config:
    backbone = None if task == 'recognition' else 'iresnet18'
    return load_config(ROOT / 'configs' / f'{CONFIGS[task]}.py', backbone=backbone, options=SMALLER[task])


@pytest.fixture(scope='module')
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Of random weights, as a training writes them."""
    folder, found = tmp_path_factory.mktemp('w'), {}
    for task in CONFIGS:
        config = config_of(task)
        init_default_scope(config.get('default_scope') or 'mmengine')
        torch.manual_seed(0)
        model = MODELS.build(config.model)
        model.init_weights()
        meta = {'dataset_meta': dict(classes=NAMES), KEY: pack(config)}
        found[task] = folder / f'{task}.pth'
        torch.save(dict(state_dict=model.state_dict(), meta=meta), found[task])
    return found


@pytest.fixture(scope='module')
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('p')
    for name in ('a.png', 'b.png'):
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)).save(folder / name)
    return folder / 'a.png'


@pytest.mark.parametrize('task', CONFIGS)
def test_a_checkpoint_alone_is_what_it_is_with_its_config(task: str, checkpoints: dict, picture: Path, tmp_path: Path):
    item = write(tmp_path / 'a.mp4') if task == 'recognition' else picture
    options = dict(score=0.0) if task == 'detection' else {}
    alone = mmext.load(checkpoints[task], **options)
    found = alone(item).as_json()
    expected = Inferencer(config_of(task), Trained.read(str(checkpoints[task])), **options)(item).as_json()
    assert found == expected and found['classes'] and alone.classes == NAMES
    safetensors = tmp_path / 'a.safetensors'
    trained = Trained.read(str(checkpoints[task]))
    write_weights(safetensors, trained.weights, classes=NAMES, stored=trained.stored)
    assert mmext.load(str(safetensors), **options)(str(item)).as_json() == expected


@pytest.mark.parametrize('task, kind', [('detection', Detections), ('classification', Classified)])
def test_images(task: str, kind: type, checkpoints: dict, picture: Path, tmp_path: Path):
    model = mmext.load(checkpoints[task])
    found = model(picture)
    array = np.asarray(Image.open(picture))
    assert isinstance(found, kind)
    for same in (model(str(picture)), model(array), model(Image.open(picture))):
        assert same.as_json() == found.as_json()
    several = model([picture, array])
    assert [one.as_json() for one in several] == [found.as_json()] * 2
    assert [one.as_json() for one in model(picture.parent)] == [found.as_json()] * 2
    found.save(tmp_path / 'drawn.png')
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / 'drawn.png')), found.draw())


def test_a_video_for_a_detector(checkpoints: dict, tmp_path: Path):
    video = write(tmp_path / 'a.mp4', frames=3)
    model = mmext.load(checkpoints['detection'], score=0.2)
    found = model(video)
    assert isinstance(found, DetectedVideo) and len(found.frames) == len(found.times) == 3
    frames = VideoReader(str(video)).images([0, 1, 2])
    assert [frame.as_json() for frame in found.frames] == [model(frame).as_json() for frame in frames]
    found.save(tmp_path / 'b.mp4')
    assert len(VideoReader(str(tmp_path / 'b.mp4'))) == 3 and found.draw().shape == frames[0].shape
    assert [entry['time'] for entry in found.as_json()['frames']] == pytest.approx(found.times, abs=1e-4)


def test_videos_for_a_recognizer(checkpoints: dict, tmp_path: Path):
    video = write(tmp_path / 'a.mp4', frames=20)
    model = mmext.load(checkpoints['recognition'], views='2x3')
    found = model(video)
    assert isinstance(found, Recognized) and found.frames.shape[0] == 2
    frames = np.stack(VideoReader(str(video)).images(range(20)))
    assert model(frames).scores == pytest.approx(found.scores, abs=1e-6)
    assert [one.scores for one in model(tmp_path)] == [found.scores]
    found.save(tmp_path / 'a.gif')
    found.save(tmp_path / 'a.png')
    with Image.open(tmp_path / 'a.gif') as animation:
        assert animation.n_frames == 2


def test_mistakes(checkpoints: dict, picture: Path, tmp_path: Path):
    def refused(call: Any, told: str) -> None:
        with pytest.raises(UserError, match=told):
            call()

    detect, recognize = mmext.load(checkpoints['detection']), mmext.load(checkpoints['recognition'])
    refused(lambda: detect(tmp_path / 'none.jpg'), 'none.jpg: no such file')
    refused(lambda: detect('http://example.com/a.jpg'), 'a.jpg: URLs are not read; download the file first')
    refused(lambda: detect(tmp_path), 'no images or videos in this folder')
    refused(lambda: detect(np.zeros((4, 4), np.uint8)), r'this is uint8 of shape \(4, 4\)')
    refused(lambda: detect(np.zeros((4, 4, 3))), r'this is float64 of shape \(4, 4, 3\)')
    refused(lambda: detect(7), 'this is a int')
    refused(lambda: recognize(picture), 'a.png: this model is a recognizer of videos')
    refused(lambda: recognize(np.zeros((4, 4, 3), np.uint8)), r'an array is a clip if it is uint8, RGB, \(frames, h')
    classify = mmext.load(checkpoints['classification'])
    refused(lambda: classify(write(tmp_path / 'a.mp4')), 'a.mp4: this model is a classifier of images')
    (tmp_path / 'a.jpg').write_text('no')
    refused(lambda: classify(tmp_path / 'a.jpg'), 'a.jpg: not an image')
    refused(lambda: mmext.load(ROOT / 'configs' / 'ssd300_iresnet50_coco.py'), 'this is a config; give the checkpoint')
    refused(lambda: mmext.load(checkpoints['detection'], picture), 'detection.pth: not a config')
    refused(lambda: mmext.load(checkpoints['detection'], score=2), 'score 2: need a number from 0 to 1')
    refused(lambda: mmext.load(checkpoints['detection'], views='1x1'), 'needs a config for videos')
    torch.save(dict(state_dict={'a': torch.zeros(1)}), tmp_path / 'other.pth')
    refused(lambda: mmext.load(tmp_path / 'other.pth'), 'other.pth: it does not contain its config')


def changed(content: dict, place: str, value: object) -> str:
    """The stored JSON with another value at a place such as 'model.bbox_head.type'."""
    content = json.loads(json.dumps(content))
    *path, last = place.split('.')
    part = content
    for key in path:
        part = part[int(key) if isinstance(part, list) else key]
    part[last] = value
    return json.dumps(content)


@pytest.mark.parametrize('place, value', [
    ('model.test_cfg.nms.type', '__import__("os").system("touch hacked")'),
    ('model.test_cfg.nms.type', 'print'),
    ('model.bbox_head.type', 'subprocess.Popen'),
    ('model.bbox_head.type', 'os.system'),
    ('model.bbox_head.type', 'builtins.exec'),
    ('model.bbox_head.type', ['SSDHead']),
    ('model.backbone.type', 'TimmBackbone'),
    ('model.backbone.type', 'torchvision.resnet18'),
    ('model.backbone.init_cfg', dict(type='Pretrained', checkpoint='http://127.0.0.1/a.pth')),
    ('model.backbone.pretrained', 'http://127.0.0.1/a.pth'),
    ('model.neck.type', 'eval(open("a").read())'),
    ('pipeline.1.type', 'mmext.../../x'),
    ('pipeline.1.interpolation', '/etc/passwd'),
    ('pipeline.1.type', 'mmengine.utils.package_utils.call_command'),
    ('default_scope', 'mmocr'),
    ('default_scope', 7),
    ('model', 'SSD'),
    ('pipeline', 3)])
def test_nothing_of_a_stored_config_is_run(place: str, value: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    content = json.loads(pack(config_of('detection')))
    with pytest.raises(UserError, match='bad.pth: the config in it .*; give the config, too'):
        unpack(changed(content, place, value), 'bad.pth')
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('text', ['', '{', '[]', '{"model": {}}', 'null', '[' * 100_000])
def test_damaged_stored_configs(text: str):
    with pytest.raises(UserError, match='a.pth: the config in it is damaged'):
        unpack(text, 'a.pth')


def test_every_config_can_be_stored():
    """But for those without a test pipeline, and comes back as it was."""
    for path in sorted((ROOT / 'configs').rglob('*.py')):
        if '_base_' in path.parts:
            continue
        config = load_config(path)
        stored = pack(config)
        assert stored, path
        back = unpack(stored, str(path))
        assert pack(back) == stored, path
