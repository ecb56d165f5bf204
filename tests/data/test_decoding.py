"""Images of every kind come out as a viewer shows them."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import mmcv
import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from mmext.classification.caltech import read_small
from mmext.data.decoding import NoImage, decode, sizes
from mmext.data.inputs import find_inputs
from mmext.data.loading import LoadImage
from mmext.prediction.predictor import Predictor
from mmext.video.transforms import read_frame

RAMP = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (48, 1))
COLOUR = np.stack([RAMP, RAMP[:, ::-1], np.full_like(RAMP, 80)], -1)  # RGB
GREY = np.repeat(RAMP[..., None], 3, 2)


def saved(image: Image.Image | np.ndarray, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(buffer, kind, **options)
    return buffer.getvalue()


def deep(image: np.ndarray, kind: str) -> bytes:
    """16 bits a sample; RGB goes in as RGB."""
    if image.ndim == 3:
        image = np.ascontiguousarray(image[..., [2, 1, 0, *range(3, image.shape[2])]])
    return cv2.imencode(kind, image)[1].tobytes()


def seen(content: bytes, **options) -> np.ndarray:
    """RGB, as numbers that can be subtracted."""
    return decode(content, **options)[..., ::-1].astype(int)


def on_white(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = alpha[..., None] / 255
    return np.round(colour * share + 255 * (1 - share))


@pytest.mark.parametrize('kind', ['.png', '.tiff', '.pgm', '.ppm', '.jp2'])
@pytest.mark.parametrize('scale', [1, 4, 16, 64, 256, 257])
def test_sixteen_bits(kind: str, scale: int):
    """8, 10, 12, 14 and 16 bits in use, and the whole range."""
    for pixels, shown in ((RAMP, GREY), (COLOUR, COLOUR)):
        if (kind, pixels.ndim) not in (('.pgm', 3), ('.ppm', 2)):
            assert np.array_equal(seen(deep(pixels.astype(np.uint16) * scale, kind)), shown)


def test_the_bits_in_use_can_be_given():
    dark = deep(RAMP.astype(np.uint16) * 4, '.png')  # a 12-bit camera in the dark
    assert np.array_equal(seen(dark, bits=12), GREY // 4) and np.array_equal(seen(dark, bits=8), np.minimum(
        GREY.astype(int) * 4, 255))


def test_transparency_is_seen_on_white():
    alpha = RAMP[:, ::-1]
    expected = on_white(COLOUR, alpha)
    content = saved(np.dstack([COLOUR, alpha]), 'PNG')
    assert np.abs(seen(content) - expected).max() <= 1
    assert np.abs(seen(deep(np.dstack([COLOUR, alpha]).astype(np.uint16) * 257, '.png')) - expected).max() <= 1
    grey = saved(Image.fromarray(np.stack([RAMP, alpha], -1), 'LA'), 'PNG')
    assert np.abs(seen(grey) - on_white(GREY, alpha)).max() <= 1
    keyed = saved(COLOUR, 'PNG', transparency=tuple(COLOUR[0, 0].tolist()))
    assert (seen(keyed)[:, 0] == 255).all() and np.array_equal(seen(keyed)[:, 1:], COLOUR[:, 1:])


@pytest.mark.parametrize('kind', ['PNG', 'GIF', 'TIFF', 'BMP'])
def test_palettes(kind: str):
    image = Image.fromarray(COLOUR).quantize(16)
    shown = np.array(image.convert('RGB'))
    assert np.array_equal(seen(saved(image, kind)), shown)
    if kind in ('PNG', 'GIF'):
        shown[np.asarray(image) == 3] = 255
        assert np.array_equal(seen(saved(image, kind, transparency=3)), shown)


@pytest.mark.parametrize('kind', ['PNG', 'TIFF', 'BMP'])
def test_one_bit(kind: str):
    image = Image.fromarray(RAMP).convert('1')
    assert np.array_equal(seen(saved(image, kind)), np.asarray(image.convert('RGB')))


def test_cmyk(tmp_path: Path):
    image = Image.fromarray(COLOUR).convert('CMYK')
    assert np.abs(seen(saved(image, 'JPEG', quality=100)) - COLOUR).max() <= 3, 'as Adobe writes it, inverted'
    assert np.array_equal(seen(saved(image, 'TIFF')), COLOUR)
    assert np.abs(seen(saved(image, 'TIFF', icc_profile=b'nonsense')) - COLOUR).max() == 0
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes()
    assert seen(saved(image, 'TIFF', icc_profile=profile)).shape == (48, 64, 3), 'a profile of another colour space'


def test_the_first_frame_of_an_animation():
    other = Image.new('RGB', (64, 48), 'red')
    for kind, options in (('GIF', {}), ('PNG', {}), ('WEBP', dict(lossless=True))):
        first = Image.fromarray(COLOUR).quantize(16).convert('RGB')
        shown = seen(saved(first, kind, save_all=True, append_images=[other], **options))
        assert np.abs(shown - np.asarray(first)).max() == 0, kind


@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'WEBP', 'TIFF'])
@pytest.mark.parametrize('orientation', range(1, 9))
def test_orientation(kind: str, orientation: int):
    exif = Image.Exif()
    exif[274] = orientation
    image = Image.fromarray(COLOUR)
    image.getexif()[274] = orientation
    upright = np.asarray(ImageOps.exif_transpose(image))
    options = dict(JPEG=dict(quality=100), WEBP=dict(lossless=True)).get(kind, {})
    content = saved(COLOUR, kind, exif=exif, **options)
    tolerance = 3 if kind == 'JPEG' else 0
    assert np.abs(seen(content) - upright).max() <= tolerance
    assert np.abs(seen(content, ignore_orientation=True) - COLOUR).max() <= tolerance
    assert sizes(content) == (COLOUR.shape[:2], upright.shape[:2])
    if kind == 'TIFF':
        content = saved(RAMP.astype(np.uint16) * 16, kind, exif=exif)
        assert seen(content).shape == upright.shape
        assert np.array_equal(seen(content, ignore_orientation=True), GREY)


def test_orientation_is_as_mmcv_has_it():
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[274] = orientation
        content = saved(COLOUR, 'JPEG', exif=exif)
        assert np.array_equal(decode(content), mmcv.imfrombytes(content))


@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'WEBP', 'TIFF', 'BMP', 'GIF'])
@pytest.mark.parametrize('share', [0.3, 0.7, 0.98])
def test_what_is_cut_short_is_no_image(kind: str, share: float):
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    content = saved(noise, kind)
    with pytest.raises(NoImage):
        decode(content[:int(len(content) * share)])


def test_no_agreed_colour_is_refused():
    with pytest.raises(NoImage, match='floating-point'):
        decode(saved(RAMP.astype(np.float32), 'TIFF'))
    with pytest.raises(NoImage, match='from 0 to 17850000; convert it to 8 or 16 bits'):
        decode(saved(RAMP.astype(np.int32) * 70000, 'TIFF'))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Kinds that OpenCV alone shows otherwise than a viewer does: file -> RGB."""
    (tmp_path / 'deep.png').write_bytes(deep(COLOUR.astype(np.uint16) * 16, '.png'))
    (tmp_path / 'clear.png').write_bytes(saved(np.dstack([COLOUR, RAMP]), 'PNG'))
    return tmp_path


SHOWN = {'deep.png': COLOUR, 'clear.png': on_white(COLOUR, RAMP)}


@pytest.mark.parametrize('name', SHOWN)
def test_every_reader_of_images_shows_the_same(folder: Path, name: str):
    loaded = LoadImage().transform(dict(img_path=str(folder / name)))['img'][..., ::-1]
    frame = read_frame(str(folder), name)
    small, = read_small([folder / name], 48, 'here')
    given = []
    (folder / 'out').mkdir()
    inputs, _ = find_inputs([folder / name], folder / 'out')
    predictor = Predictor(lambda image, path: given.append(image) or nothing(image), {'classes': []},
                          folder / 'out' / 'predictions.json', print)
    predictor.run(inputs, {})
    for pixels in (loaded, frame, given[0]):
        assert np.abs(pixels.astype(int) - SHOWN[name]).max() <= 1
    expected = Image.fromarray(SHOWN[name].astype(np.uint8)).resize((48, 48), Image.Resampling.BILINEAR)
    assert np.abs(small.transpose(1, 2, 0).astype(int) - np.asarray(expected)).max() <= 1


def nothing(image: np.ndarray):
    from mmext.detection.results import Detections
    return Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0, int), [], image)
