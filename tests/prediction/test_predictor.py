"""What prediction makes of files and folders, with a detector whose boxes are known."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, ImageOps

import mmext  # noqa: F401
from mmext.data.inputs import find_inputs
from mmext.detection.results import Detections
from mmext.errors import DiskFull, UserError
from mmext.prediction import predictor
from mmext.prediction.predictor import Predictor
from tests.video.clips import number_of, write


def make_image(path: Path, size: tuple[int, int] = (40, 30), **saving: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = np.linspace(0, 255, size[0] * size[1] * 3).reshape(*size[::-1], 3) * (1, 0.6, 0.2)
    Image.fromarray(rows.astype(np.uint8)).save(path, **saving)
    return path


class Known:
    """Finds a dog in the first picture, the third, the fifth ...; keeps what it saw."""

    def __init__(self) -> None:
        self.seen: list[tuple[np.ndarray, str]] = []

    def __call__(self, image: np.ndarray, path: str) -> Detections:
        self.seen.append((image, path))
        count = len(self.seen) % 2
        return Detections(np.array([[1.0, 2.0, 20.5, 15.25]] * count).reshape(-1, 4), np.array([0.75] * count),
                          np.array([1] * count, int), ['dog'] * count, image)


def predict(paths: list[Path], out: Path) -> tuple[dict, dict, Known, list[str]]:
    """The JSON, what was returned, the detector, and the lines told."""
    inputs, skipped = find_inputs(paths, out)
    told: list[str] = []
    known = Known()
    header = dict(classes=['cat', 'dog'], score=0.3)
    unread = Predictor(known, header, out / 'predictions.json', told.append).run(inputs, skipped)
    return json.loads((out / 'predictions.json').read_text()), unread, known, told


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob('*') if path.is_file()}


def test_images(tmp_path: Path) -> None:
    paths = [make_image(tmp_path / name) for name in ('a.jpg', 'b.png', 'c.webp')]
    found, unread, known, told = predict(paths, tmp_path / 'out')
    assert found.pop('classes') == ['cat', 'dog'] and found.pop('score') == 0.3 and found.pop('skipped') == []
    dog = dict(boxes=[[1.0, 2.0, 20.5, 15.25]], scores=[0.75], classes=['dog'])
    none = dict(boxes=[], scores=[], classes=[])
    assert found == dict(files=[
        dict(path=str(path), kind='image', width=40, height=30, output=f'{path.stem}.jpg', **what)
        for path, what in zip(paths, (dog, none, dog))])
    assert not unread and not told and files(tmp_path / 'out') == {'a.jpg', 'b.jpg', 'c.jpg', 'predictions.json'}
    drawn, plain = (np.asarray(Image.open(tmp_path / 'out' / name)).astype(int) for name in ('a.jpg', 'b.jpg'))
    assert drawn.shape == plain.shape == (30, 40, 3)
    assert np.abs(plain - np.asarray(Image.open(paths[1]))).mean() < 3
    assert np.abs(drawn - plain)[2:15, 1].mean() > 30 and np.abs(drawn - plain)[20:].mean() < 3


@pytest.mark.parametrize('orientation', range(1, 9))
def test_turned_as_training_turns_it(orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = make_image(tmp_path / 'a.jpg', exif=exif, quality=95)
    found, _, known, _ = predict([path], tmp_path / 'out')
    upright = np.asarray(ImageOps.exif_transpose(Image.open(path)))
    assert np.abs(known.seen[0][0].astype(int) - upright).max() < 12 and known.seen[0][1] == str(path)
    assert (found['files'][0]['height'], found['files'][0]['width']) == upright.shape[:2]
    drawn = Image.open(tmp_path / 'out' / 'a.jpg')
    assert drawn.size == upright.shape[1::-1] and not drawn.getexif().get(0x0112)


@pytest.mark.parametrize('mode', ['L', 'RGBA', 'P', '1', 'I;16', 'CMYK'])
def test_kinds_of_images(mode: str, tmp_path: Path) -> None:
    path = tmp_path / ('a.jpg' if mode == 'CMYK' else 'a.png')
    Image.new(mode, (40, 30)).save(path)
    _, unread, known, _ = predict([path], tmp_path / 'out')
    assert not unread and known.seen[0][0].shape == (30, 40, 3) and known.seen[0][0].dtype == np.uint8


def test_a_video(tmp_path: Path) -> None:
    path = write(tmp_path / 'a.avi', 'mpeg4.avi', 10)
    found, unread, known, told = predict([path], tmp_path / 'out')
    entry, = found['files']
    frames = entry.pop('frames')
    assert entry == dict(path=str(path), kind='video', width=64, height=48, fps=25.0, output='a.mp4')
    assert [frame['time'] for frame in frames] == pytest.approx([i / 25 for i in range(10)])
    assert [frame['classes'] for frame in frames] == [['dog'], []] * 5
    assert not unread and [number_of(image) for image, _ in known.seen] == list(range(10))
    with av.open(str(tmp_path / 'out' / 'a.mp4')) as container:
        drawn = [frame.to_ndarray(format='rgb24') for frame in container.decode(video=0)]
        assert container.streams.video[0].average_rate == 25
    assert len(drawn) == 10
    changes = [np.abs(image.astype(int) - seen) for image, (seen, _) in zip(drawn, known.seen)]
    boxed = [change[8:16, :22].mean() for change in changes]
    assert max(change[20:, :22].mean() for change in changes) < 25 and min(boxed[::2]) > 1.5 * max(boxed[1::2])


def test_a_video_that_breaks_off(tmp_path: Path) -> None:
    """What was read is kept: a video that plays, and its frames in the JSON."""
    path = write(tmp_path / 'a.mkv', 'open_gop.mkv')
    path.write_bytes(path.read_bytes()[:path.stat().st_size // 2])
    image = make_image(tmp_path / 'b.png')
    found, unread, known, told = predict([path, image], tmp_path / 'out')
    broken, whole = found['files']
    assert 5 < len(broken['frames']) < 40 and broken['error'].startswith('truncated') and found['skipped'] == []
    assert whole['path'] == str(image) and 'error' not in whole
    assert unread == {str(path): broken['error']} and told == [f'incomplete: {path}: {broken["error"]}']
    with av.open(str(tmp_path / 'out' / 'a.mp4')) as container:
        assert sum(1 for _ in container.decode(video=0)) == len(broken['frames']) == len(known.seen) - 1


def test_what_can_not_be_read(tmp_path: Path) -> None:
    cut = make_image(tmp_path / 'cut.jpg', (400, 300))
    cut.write_bytes(cut.read_bytes()[:3000])
    for name, content in (('no.jpg', b'hello'), ('empty.png', b''), ('no.mp4', b'hello\n'), ('empty.avi', b''),
                          ('notes.txt', b'hello')):
        (tmp_path / name).write_bytes(content)
    (tmp_path / 'folder').mkdir()
    bad = ['none.jpg', 'folder', 'cut.jpg', 'no.jpg', 'empty.png', 'no.mp4', 'empty.avi', 'notes.txt']
    good = make_image(tmp_path / 'good.png')
    found, unread, known, told = predict([*(tmp_path / name for name in bad), good], tmp_path / 'out')
    reasons = {row['path']: row['reason'] for row in found['skipped']}
    assert list(unread) == list(reasons) == [str(tmp_path / name) for name in bad] and reasons == unread
    for name, reason in {'none.jpg': 'no such file', 'folder': 'no images or videos in this folder',
                         'cut.jpg': 'truncated', 'no.jpg': 'not an image', 'empty.png': 'empty file',
                         'no.mp4': 'not a video', 'empty.avi': 'empty file', 'notes.txt': 'not an image'}.items():
        assert reason in reasons[str(tmp_path / name)]
    assert len(told) == len(bad) - 2 and all(line.startswith('skipped: ') and '\n' not in line for line in told)
    assert [entry['path'] for entry in found['files']] == [str(good)] and len(known.seen) == 1
    assert files(tmp_path / 'out') == {'good.jpg', 'predictions.json'}


def test_nothing_is_left_of_a_run_that_was_stopped(tmp_path: Path) -> None:
    inputs, skipped = find_inputs([write(tmp_path / 'a.mp4', frames=5)], tmp_path / 'out')

    def stop(image: np.ndarray, path: str) -> Detections:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Predictor(stop, {}, tmp_path / 'out' / 'predictions.json', print).run(inputs, skipped)
    assert files(tmp_path / 'out') == set()


def test_places(tmp_path: Path) -> None:
    """Unique for whatever file system, below the folder that was given."""
    names = ['x/a.jpg', 'x/a.png', 'x/A.bmp', 'x/sub/a.jpg', 'x/sub/clip.mp4', 'x/sub/clip.avi', 'x/notes.txt',
             'x/.hidden.jpg', 'y/a.jpg', 'y/A.png', 'x/out/old.jpg']
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    out = tmp_path / 'x' / 'out'
    inputs, skipped = find_inputs(
        [tmp_path / 'x', *(tmp_path / name for name in ('y/a.jpg', 'y/A.png', 'x/a.png'))], out)
    assert not skipped
    places = {item.path.relative_to(tmp_path).as_posix(): item.output.relative_to(out).as_posix() for item in inputs}
    assert places == {'x/A.bmp': 'A.jpg', 'x/a.jpg': 'a.jpg.jpg', 'x/a.png': 'a.png.jpg', 'x/sub/a.jpg': 'sub/a.jpg',
                      'x/sub/clip.avi': 'sub/clip.mp4', 'x/sub/clip.mp4': 'sub/clip.mp4.mp4',
                      'y/a.jpg': 'a.jpg_2.jpg', 'y/A.png': 'A.png_2.jpg'}


def test_a_folder_within_the_output(tmp_path: Path) -> None:
    make_image(tmp_path / 'in' / 'a.jpg')
    (item,), _ = find_inputs([tmp_path / 'in'], tmp_path)
    assert (item.path, item.output) == (tmp_path / 'in' / 'a.jpg', tmp_path / 'a.jpg')


def test_an_output_in_the_place_of_an_input(tmp_path: Path) -> None:
    image = make_image(tmp_path / 'a.jpg')
    with pytest.raises(UserError, match=r'a\.jpg: an output would overwrite this input; .*--out'):
        find_inputs([image], tmp_path)
    with pytest.raises(UserError, match='the results would be written among the images of this folder; .*--out'):
        find_inputs([tmp_path], tmp_path / '.')
    assert not find_inputs([make_image(tmp_path / 'b.png')], tmp_path)[1]


def test_a_full_disk_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no fault of the image, which would be skipped."""
    def write_picture(path: Path, image: np.ndarray) -> None:
        raise DiskFull(str(path))

    monkeypatch.setattr(predictor, 'write_picture', write_picture)
    with pytest.raises(DiskFull, match='a.jpg: no space left'):
        predict([make_image(tmp_path / name) for name in ('a.jpg', 'b.jpg')], tmp_path / 'out')
    assert not files(tmp_path / 'out')
