"""Images that can be read, and images that can't."""

from __future__ import annotations

from pathlib import Path

import cv2
import mmcv
import numpy as np
import pytest
from PIL import Image

from mmext.data.decoding import decode
from mmext.data.loading import LoadImage
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


def turned(path: Path, orientation: int, size: tuple[int, int] = (80, 60)) -> Path:
    exif = Image.Exif()
    exif[274] = orientation
    Image.new('RGB', size).save(path, exif=exif)
    return path


CAUSES = {  # size of the annotations, height and width -> what is said of a file of 60 x 80
    (80, 60): 'width and height are swapped in the annotations',
    (120, 160): 'the file was resized to 0.5 times the size that was annotated',
    (240, 322): 'the file was resized to 0.248 times',
    (200, 80): 'are they of another image',
}


@pytest.mark.parametrize('annotated', CAUSES)
def test_an_image_of_another_size_than_annotated(picture: Path, tmp_path: Path, annotated: tuple[int, int]):
    given, log = dict(img_path=str(picture), height=annotated[0], width=annotated[1]), tmp_path / 'log.txt'
    with pytest.raises(UserError) as caught:
        LoadImage(log_file=str(log)).transform(dict(given))
    sizes = f'a.jpg: {annotated[1]} x {annotated[0]} in the annotations, 80 x 60 in the file: '
    assert sizes + CAUSES[annotated] in str(caught.value) and '\n' not in str(caught.value)
    assert LoadImage('skip', str(log)).transform(dict(given)) is None
    assert LoadImage('blank', str(log)).transform(dict(given))['img'].shape == (*annotated, 3)
    assert CAUSES[annotated] in read_log(log)[str(picture)]


def test_a_rounded_pixel_is_let_pass(picture: Path):
    for height, width in ((59, 81), (60.0, 80.0)):
        assert LoadImage().transform(dict(img_path=str(picture), height=height, width=width))['img'].shape[0] == 60


def test_annotations_of_what_exif_turns(tmp_path: Path):
    path = turned(tmp_path / 'a.jpg', 6)  # stored 80 wide and 60 high, seen 60 wide and 80 high
    stored, upright = dict(img_path=str(path), height=60, width=80), dict(img_path=str(path), height=80, width=60)
    assert LoadImage().transform(dict(upright))['img'].shape == (80, 60, 3)
    assert LoadImage(ignore_orientation=True).transform(dict(stored))['img'].shape == (60, 80, 3)
    with pytest.raises(UserError, match='give ignore_orientation=True to mmext.LoadImage'):
        LoadImage().transform(dict(stored))
    with pytest.raises(UserError, match='leave ignore_orientation out'):
        LoadImage(ignore_orientation=True).transform(dict(upright))


@pytest.mark.parametrize('on_error', ['skip', 'blank'])
def test_a_large_share_of_other_sizes_stops_the_run(picture: Path, on_error: str):
    good, bad = results(picture), dict(results(picture), height=80, width=60)
    step = LoadImage(on_error)
    for given in [good] * 18 + [bad] * 2:
        step.transform(dict(given))
    with pytest.raises(UserError, match=r'swapped .* 3 of the 21 images read so far, and more than 10% stop'):
        step.transform(dict(bad))
    step = LoadImage(on_error, max_mismatched=1)
    for _ in range(30):
        step.transform(dict(bad))


def test_unusable_arguments():
    for argument in (dict(bits=7), dict(bits='12'), dict(max_mismatched=2), dict(max_mismatched='all')):
        with pytest.raises(UserError, match=f'LoadImage: {next(iter(argument))}='):
            LoadImage(**argument)
