"""Files that announce more pixels than they have: refused before they take memory, in every reader."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from mmext.classification.caltech import read_small
from mmext.data import limits
from mmext.data.decoding import NoImage, decode, sizes
from mmext.data.inputs import find_inputs
from mmext.data.loading import LoadImage
from mmext.data.video import VideoError, VideoReader
from mmext.errors import UserError
from mmext.prediction.predictor import Predictor
from mmext.video.transforms import read_frame

NOISE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
LARGE = Image.fromarray(NOISE).resize((600, 600))


def saved(image: Image.Image | np.ndarray, kind: str, **options) -> bytearray:
    buffer = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(buffer, kind, **options)
    return bytearray(buffer.getvalue())


def lying_png(mode: str = 'RGB', bits: int = 8, byte: int = 17, checked: bool = True) -> bytes:
    """A byte of its width is flipped, and the header's checksum made right, or not."""
    content = saved(LARGE.convert(mode), 'PNG')
    content[24] = bits
    content[byte] ^= 1
    if checked:
        content[29:33] = struct.pack('>I', zlib.crc32(content[12:29]))
    return bytes(content)


def lying_bmp(height: int = 2_000_000, compressed: bool = False) -> bytes:
    content = saved(Image.new('P' if compressed else 'RGB', (4, 2)), 'BMP')[:84]
    content[22:26] = struct.pack('<i', height)
    content[30] = compressed
    return bytes(content)


def lying_jpeg(size: tuple[int, int] = (10_000, 10_000), **options) -> bytes:
    content = saved(LARGE, 'JPEG', **options)
    start = content.index(b'\xff\xc2' if options else b'\xff\xc0')
    content[start + 5:start + 9] = struct.pack('>HH', *size)
    return bytes(content)


def lying_gif() -> bytes:
    content = saved(NOISE, 'GIF')
    content[6:10] = struct.pack('<HH', 9_000, 9_000)
    return bytes(content)


def lying_tiff() -> bytes:
    content = saved(NOISE, 'TIFF')
    for tag in (256, 257):
        place = content.index(struct.pack('<HH', tag, 4)) + 8
        content[place:place + 4] = struct.pack('<I', 9_900)
    return bytes(content)


def lying_webp() -> bytes:
    content = saved(NOISE, 'WEBP', lossless=True)
    content[21:25] = b'\xff\xff\xff\x0f'
    return bytes(content)


LIES = {
    'bmp': lying_bmp(), 'bmp, too many': lying_bmp(2_000_000_000), 'bmp, packed': lying_bmp(compressed=True),
    'png': lying_png(), 'png, unchecked': lying_png(checked=False), 'png, alpha': lying_png('RGBA'),
    'png, 16 bits': lying_png(bits=16), 'png, too many': lying_png(byte=16), 'png, grey': lying_png('L'),
    'jpeg': lying_jpeg(), 'jpeg, progressive': lying_jpeg(progressive=True),
    'gif': lying_gif(), 'tiff': lying_tiff(), 'webp': lying_webp(),
    'ppm': b'P6 9000 9000 255\n' + bytes(100), 'pgm, 16 bits': b'P5 9000 9000 65535\n' + bytes(100),
}


def measure(told: Connection) -> None:
    """Sends how much memory decoding each lie takes, in MiB, and what it ends in."""
    def field(name: str) -> int:
        line = next(line for line in Path('/proc/self/status').read_text().splitlines() if line.startswith(name))
        return int(line.split()[1])

    for kind in ('PNG', 'BMP', 'GIF', 'JPEG', 'TIFF', 'WEBP'):
        decode(bytes(saved(NOISE, kind)))  # the pages of the libraries count as memory
    found = {}
    for kind, content in LIES.items():
        Path('/proc/self/clear_refs').write_text('5')  # the peak begins here
        before, reason = field('VmRSS'), ''
        try:
            decode(content)
        except NoImage as error:
            reason = str(error)
        found[kind] = (field('VmHWM') - before) / 1024, reason
    told.send(found)


@pytest.fixture(scope='module')
def peaks() -> dict[str, tuple[float, str]]:
    """Of a new process: in this one a command may have asked the allocator to keep memory, which it clears itself."""
    here, there = get_context('spawn').Pipe()
    process = get_context('spawn').Process(target=measure, args=(there, ))
    process.start()
    assert here.poll(120)
    found = here.recv()
    process.join()
    return found


@pytest.mark.skipif(not Path('/proc/self/clear_refs').exists(), reason='the peak is read from Linux')
@pytest.mark.parametrize('kind', LIES)
def test_memory_of_a_file_that_lies(kind: str, peaks: dict[str, tuple[float, str]]):
    taken, reason = peaks[kind]
    assert reason and '\n' not in reason
    assert taken < 30, reason


@pytest.mark.parametrize('kind', ['RGB', 'L', 'P', '1', 'RGBA'])
@pytest.mark.parametrize(('form', 'options'), [('PNG', dict(compress_level=9)), ('GIF', {}), ('BMP', {}),
                                               ('JPEG', dict(quality=1, progressive=True)), ('JPEG', dict(quality=1)),
                                               ('TIFF', dict(compression='tiff_lzw')), ('WEBP', dict(lossless=True))])
def test_the_densest_images_are_no_lies(kind: str, form: str, options: dict):
    if (kind, form) in (('RGBA', 'JPEG'), ('P', 'JPEG')):
        return
    plain = Image.new('L', (3000, 2000)).convert(kind)  # with a palette; Pillow 12 writes a BMP without one wrongly
    assert decode(bytes(saved(plain, form, **options))).shape == (2000, 3000, 3)


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch):
    """limit(n): as the environment has it."""
    def to(value: object) -> None:
        monkeypatch.setenv(limits.VARIABLE, str(value))
        limits.most_pixels.cache_clear()
    yield to
    limits.most_pixels.cache_clear()


def test_the_limit_can_be_set(limit: Callable):
    content = bytes(saved(NOISE, 'PNG'))
    limit(64 * 48 - 1)
    for read in (decode, sizes):
        with pytest.raises(NoImage, match='64 x 48 pixels, or its header is damaged; more than 3,071 are not decoded '
                                          r'\(MMEXT_MAX_PIXELS'):
            read(content)
    limit(64 * 48)
    assert decode(content).shape == (48, 64, 3)
    for wrong in ('x', '-1', '0', '1e9'):
        limit(wrong)
        with pytest.raises(UserError, match=f'MMEXT_MAX_PIXELS={wrong}: need a number of pixels'):
            limits.most_pixels()
    before = Image.MAX_IMAGE_PIXELS
    try:
        limit(400_000_000)
        assert limits.most_pixels() == Image.MAX_IMAGE_PIXELS == 400_000_000
    finally:
        Image.MAX_IMAGE_PIXELS = before


def test_every_reader_takes_it_for_an_unreadable_file(tmp_path: Path):
    path = tmp_path / 'img_1.bmp'
    path.write_bytes(lying_bmp())
    says = '4 x 2,000,000 pixels, which 78 bytes can not hold'
    step = LoadImage(on_error='skip', log_file=str(tmp_path / 'log'))
    assert step.transform(dict(img_path=str(path))) is None and says in (tmp_path / 'log').read_text()
    with pytest.raises(UserError, match=says):
        read_small([path], 32, 'here')
    with pytest.raises(VideoError, match=says):
        read_frame(str(tmp_path), path.name)
    inputs, skipped = find_inputs([path], tmp_path / 'out')
    told: list[str] = []
    predictor = Predictor(None, {'classes': []}, tmp_path / 'out' / 'p.json', told.append)
    assert says in predictor.run(inputs, skipped)[str(path)]


def test_a_blank_image_is_never_of_the_size_that_a_lie_says(tmp_path: Path):
    blank = LoadImage(on_error='blank').transform(dict(img_path=str(tmp_path / 'x'), height=1e9, width=1e9))
    assert blank['img'].shape == (256, 256, 3)


def test_what_is_no_picture_is_not_handed_to_a_program():
    with pytest.raises(NoImage, match='not an image'):
        decode(b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n%%EndProlog\n%%EOF\n')


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / 'a.avi'
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('mjpeg', rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, 'yuvj420p'
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(NOISE, format='rgb24')))
        container.mux(stream.encode())
    return path


def test_frames_of_videos_have_the_limit(video: Path, limit: Callable):
    with VideoReader(video) as reader:
        assert reader.get([0, 2]).shape == (2, 48, 64, 3)
    content = bytearray(video.read_bytes())
    start = content.index(b'\xff\xc0', content.index(b'\xff\xc0') + 1)  # of the second frame
    content[start + 5:start + 9] = struct.pack('>HH', 96, 128)
    video.with_suffix('.lie.avi').write_bytes(content)
    limit(64 * 48)
    with VideoReader(video.with_suffix('.lie.avi')) as reader, pytest.raises(VideoError):
        reader.get([1])
    limit(64 * 47)
    with pytest.raises(VideoError, match='64 x 48 pixels, or its header is damaged; more than 3,008 are not decoded'):
        VideoReader(video)


@pytest.mark.parametrize('error', [ValueError('no such format'), MemoryError(), ZeroDivisionError('division'),
                                   RuntimeError('two\nlines')])
def test_whatever_is_raised_while_a_video_is_decoded_is_one_line(video: Path, error: Exception,
                                                                 monkeypatch: pytest.MonkeyPatch):
    with VideoReader(video) as reader:
        monkeypatch.setattr(reader.pictures, 'convert', lambda frame: (_ for _ in ()).throw(error))
        with pytest.raises(VideoError) as caught:
            reader.get([0])
    assert 'unreadable video' in str(caught.value) and '\n' not in str(caught.value)
