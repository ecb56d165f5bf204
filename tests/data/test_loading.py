"""Images that can be read, and images that can't."""

from __future__ import annotations

from pathlib import Path

import cv2
import mmcv
import numpy as np
import pytest

from mmext.data.loading import LoadImage, decode
from mmext.data.unreadable import read_log
from mmext.errors import UserError


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    cv2.imwrite(str(tmp_path / 'a.jpg'), noise)
    return tmp_path / 'a.jpg'


def results(path: Path) -> dict:
    return dict(img_path=str(path), height=60, width=80)


def test_pixels_are_mmcvs(picture: Path):
    loaded = LoadImage().transform(results(picture))
    assert np.array_equal(loaded['img'], mmcv.imread(str(picture)))
    assert loaded['img_shape'] == loaded['ori_shape'] == (60, 80)


@pytest.mark.parametrize('share', [0.3, 0.6, 0.9, 0.99])
def test_a_truncated_jpeg_is_no_image(picture: Path, share: float):
    content = picture.read_bytes()
    with pytest.raises((OSError, ValueError)):
        decode(content[:int(len(content) * share)])


def test_bytes_after_the_end_are_no_harm(picture: Path):
    content = picture.read_bytes()
    assert np.array_equal(decode(content + b'\0' * 10_000), decode(content))


@pytest.mark.parametrize('content, reason', [(None, 'No such file'), (b'', 'empty file'), (b'text', 'not an image')])
def test_what_becomes_of_unreadable_files(tmp_path: Path, content: bytes | None, reason: str):
    path, log = tmp_path / 'b.jpg', tmp_path / 'log.txt'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match='b.jpg: unreadable image') as caught:
        LoadImage(on_error='raise', log_file=str(log)).transform(results(path))
    assert reason in str(caught.value) and '\n' not in str(caught.value)
    assert read_log(log) == {}, 'what is raised is not noted as left out'
    assert LoadImage(on_error='skip', log_file=str(log)).transform(results(path)) is None
    blank = LoadImage(on_error='blank', log_file=str(log)).transform(results(path))
    assert blank['img'].shape == (60, 80, 3) and not blank['img'].any()
    assert list(read_log(log)) == [str(path)] and reason in read_log(log)[str(path)]


def test_real_images_are_not_called_truncated(coco_tiny: Path):
    for path in sorted((coco_tiny / 'val2017').iterdir())[:20]:
        assert decode(path.read_bytes()).ndim == 3
