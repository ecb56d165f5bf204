"""The generated clips: a class is its motion, and a frame alone has nothing of it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import av
import cv2
import numpy as np
import pytest
from mmengine.registry import DATASETS

import mmext  # noqa: F401  registers the names
from mmext.data.video import VideoReader
from mmext.engine.config import load_config
from mmext.errors import UserError
from tests.conftest import ROOT

OPPOSITE = [('left', 'right'), ('up', 'down'), ('clockwise', 'anticlockwise')]
SMALL = ('--train', '3', '--val', '2', '--size', '48', '--frames', '9')


@pytest.fixture(scope='module')
def motion() -> ModuleType:
    """tools/make_motion.py."""
    spec = importlib.util.spec_from_file_location('make_motion', ROOT / 'tools' / 'make_motion.py')
    module = importlib.util.module_from_spec(spec)
    sys.modules['make_motion'] = module
    spec.loader.exec_module(module)
    return module


def make(motion: ModuleType, folder: Path, *options: str) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, 'argv', ['make_motion.py', str(folder), *options])
        motion.main()
    return folder


@pytest.fixture(scope='module')
def made(motion: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(motion, tmp_path_factory.mktemp('m') / 'motion', *SMALL)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob('*') if path.is_file()}


def frames(path: Path) -> np.ndarray:
    with VideoReader(path) as reader:
        return reader.get(range(len(reader)))


def centre(images: np.ndarray) -> np.ndarray:
    """Where the light is in pictures that go on at the other side: (T, height, width) -> x and y, (T, 2), in sides."""
    places = []
    for axis in (1, 2):
        light = images.sum(axis)
        angles = 2j * np.pi * (np.arange(light.shape[1]) + 0.5) / light.shape[1]
        places.append(np.angle((light * np.exp(angles)).sum(1)) / (2 * np.pi))
    return np.stack(places, 1)


def steps(motion: ModuleType, cls: str, seed: int) -> np.ndarray:
    """How the only shape of a scene without a ground moves from frame to frame, (T - 1, 2)."""
    shape = motion.make_shapes(np.random.default_rng(seed))[0]
    clip = motion.draw_clip(cls, np.zeros((64, 64, 3)), [shape], 16)
    return (np.diff(centre(clip.sum(-1).astype(float)), axis=0) + 0.5) % 1 - 0.5


@pytest.mark.parametrize('cls, x, y', [('left', -1, 0), ('right', 1, 0), ('up', 0, -1), ('down', 0, 1)])
def test_straight_classes(motion: ModuleType, cls: str, x: int, y: int) -> None:
    for seed in range(5):
        along = steps(motion, cls, seed) @ (x, y)
        across = steps(motion, cls, seed) @ (y, x)
        assert along.min() > 0.02 and along.max() < 0.06 and np.abs(across).max() < 2e-3


@pytest.mark.parametrize('cls, sign', [('clockwise', 1), ('anticlockwise', -1)])
def test_turning_classes(motion: ModuleType, cls: str, sign: int) -> None:
    for seed in range(5):
        x, y = steps(motion, cls, seed).T
        angles = np.unwrap(np.arctan2(y, x)) / (2 * np.pi)  # y goes down, so that they grow clockwise
        assert 0.4 < sign * (angles[-1] - angles[0]) < 0.9 and (sign * np.diff(angles) > 0).all()


@pytest.mark.parametrize('one, other', OPPOSITE)
def test_a_clip_backwards_is_one_of_the_opposite_class(motion: ModuleType, made: Path, one: str, other: str) -> None:
    rng = np.random.default_rng(3)
    ground, shapes = motion.make_ground(32, rng), motion.make_shapes(rng)
    clips = [motion.draw_clip(cls, ground, shapes, 7).astype(int) for cls in (one, other)]
    assert np.abs(clips[0][::-1] - clips[1]).max() <= 1 and np.abs(clips[0] - clips[1]).max() > 50
    for i in range(3):
        decoded = [frames(made / 'videos_train' / cls / f'{i:05d}.mp4').astype(int) for cls in (one, other)]
        difference = np.abs(decoded[0][::-1] - decoded[1])
        assert difference.mean() < 0.1, 'coding adds nothing that tells them apart'


def test_places_are_spread_alike_in_every_frame_of_every_class(motion: ModuleType) -> None:
    rng = np.random.default_rng(0)
    shapes = [shape for _ in range(1500) for shape in motion.make_shapes(rng)]
    for cls in motion.CLASSES:
        paths = np.stack([shape.path(cls, 5) for shape in shapes]) % 1
        for moment in range(5):
            counts = np.histogramdd(paths[:, moment], bins=(5, 5), range=[(0, 1)] * 2)[0]
            expected = len(shapes) / 25
            assert ((counts - expected)**2 / expected).sum() < 60, (cls, moment)  # chi-square, 24 degrees: p 6e-5


def motion_energy(clip: np.ndarray) -> np.ndarray:
    """Correlations of the change in time with the gradients, (T, h, w) -> (2,): the mean motion but for its scale."""
    soft = np.stack([cv2.GaussianBlur(image, (0, 0), 1.5) for image in clip])
    change, (gy, gx) = np.diff(soft, axis=0), np.gradient(soft[:-1], axis=(1, 2))
    return -np.array([(change * gx).mean(), (change * gy).mean()]) / (change**2).mean()


def probe(train: np.ndarray, train_labels: np.ndarray, val: np.ndarray, val_labels: np.ndarray) -> float:
    """Accuracy of a linear classifier of features (N, F)."""
    mean, std = train.mean(0), train.std(0) + 1e-6
    train, val = (np.hstack([(part - mean) / std, np.ones((len(part), 1))]) for part in (train, val))
    targets = np.eye(train_labels.max() + 1)[train_labels]
    weights = np.linalg.solve(train.T @ train + 10 * np.eye(train.shape[1]), train.T @ targets)
    return float(((val @ weights).argmax(1) == val_labels).mean())


def test_a_frame_does_not_tell_the_class_and_motion_does(motion: ModuleType) -> None:
    rng = np.random.default_rng(5)
    single, moving, labels = [], [], []
    for i in range(1200):
        label = i % 6
        clip = motion.draw_clip(motion.CLASSES[label], motion.make_ground(24, rng), motion.make_shapes(rng), 8)
        grey = clip.mean(-1)
        image = cv2.resize(grey[rng.integers(8)], (12, 12), interpolation=cv2.INTER_AREA)
        single.append(np.concatenate([image, np.abs(np.diff(image, axis=0, append=0)),
                                      np.abs(np.diff(image, axis=1, append=0))]).ravel())
        moving.append(motion_energy(grey))
        labels.append(label)
    labels = np.array(labels)
    split = 720

    def accuracy(features: list, among: np.ndarray) -> float:
        features = np.array(features)
        known = np.flatnonzero(among[:split])
        held_out = split + np.flatnonzero(among[split:])
        return probe(features[known], labels[known], features[held_out], labels[held_out])

    assert abs(accuracy(single, labels >= 0) - 1 / 6) < 4 * np.sqrt(1 / 6 * 5 / 6 / 480)
    assert accuracy(moving, labels < 4) > 0.85, 'the probe would find what is there'


def test_the_folder_is_a_video_data_set(motion: ModuleType, made: Path) -> None:
    assert sorted(path.name for path in made.iterdir()) == [
        'classes.txt', 'motion_train_list_videos.txt', 'motion_val_list_videos.txt', 'videos_train', 'videos_val']
    config = load_config(ROOT / 'configs' / 'demo' / 'iresnet3d18_motion.py', data_root=str(made))
    for loader, clips in ((config.train_dataloader, 18), (config.test_dataloader, 12)):
        data = DATASETS.build({**loader.dataset, 'pipeline': []})
        assert len(data) == clips and data.metainfo['classes'] == motion.CLASSES
        for i in range(clips):
            info = data.get_data_info(i)
            assert Path(info['filename']).parent.name == motion.CLASSES[info['label']]
            assert frames(Path(info['filename'])).shape == (9, 48, 48, 3)
    assert not [step for loader in (config.train_dataloader, config.test_dataloader)
                for step in loader.dataset.pipeline if 'Flip' in step['type']], 'it turns left into right'


def test_every_frame_is_coded_by_itself(made: Path) -> None:
    for path in made.rglob('*.mp4'):
        with av.open(str(path)) as container:
            packets = [packet for packet in container.demux(video=0) if packet.size]
        assert len(packets) == 9 and all(packet.is_keyframe for packet in packets)


def test_the_seed_makes_the_set(motion: ModuleType, made: Path, tmp_path: Path) -> None:
    again = make(motion, tmp_path / 'a', *SMALL)
    assert files(again) == files(made)
    other = make(motion, again, *SMALL, '--seed', '1', '--val', '1')  # in the place of the earlier one
    assert len(files(other)) == 3 + 6 * 4 and list(tmp_path.iterdir()) == [other]
    clip = 'videos_train/left/00000.mp4'
    assert files(other)[clip] != files(made)[clip] != files(made)[clip.replace('train', 'val')]


def test_written_whole_or_not_at_all(motion: ModuleType, made: Path, tmp_path: Path,
                                     monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def interrupted(path: Path, clip: np.ndarray) -> None:
        calls.append(path)
        if len(calls) % 5 == 0:
            raise KeyboardInterrupt

    make(motion, tmp_path / 'old', '--train', '1', '--val', '1', '--frames', '2')
    before = files(tmp_path / 'old')
    monkeypatch.setattr(motion, 'write_clip', interrupted)
    for name in ('old', 'new'):
        with pytest.raises(KeyboardInterrupt):
            make(motion, tmp_path / name, *SMALL)
    assert list(tmp_path.iterdir()) == [tmp_path / 'old'] and files(tmp_path / 'old') == before


@pytest.mark.parametrize('options, message', [
    (('--size', '33'), '--size 33: need an even number'), (('--size', '8'), '--size 8: need at least 16'),
    (('--train', '0'), '--train 0'), (('--frames', '1'), '--frames 1'), (('--seed', '-1'), '--seed -1')])
def test_mistakes(motion: ModuleType, tmp_path: Path, options: tuple, message: str) -> None:
    with pytest.raises(UserError, match=message):
        make(motion, tmp_path / 'a', *options)
    assert not list(tmp_path.iterdir())


def test_a_folder_with_other_things_is_left_alone(motion: ModuleType, tmp_path: Path) -> None:
    (tmp_path / 'photo.jpg').touch()
    with pytest.raises(UserError, match="contains 'photo.jpg'"):
        make(motion, tmp_path, *SMALL)
    with pytest.raises(UserError, match='is a file; give another folder'):
        make(motion, tmp_path / 'photo.jpg', *SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ['photo.jpg']
