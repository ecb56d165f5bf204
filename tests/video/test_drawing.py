"""Contact sheets and animations: what is in them, where, and which videos are chosen."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmaction.structures import ActionDataSample
from PIL import Image, ImageColor, ImageDraw

import mmext  # noqa: F401  registers the names
from mmext.errors import UserError
from mmext.video import drawing, hooks
from mmext.video.drawing import RIGHT, UNKNOWN, WRONG, Shown, animation, contact_sheet, wrapped, write_pictures

NAMES = ['left', '', 'x' * 300, 'Pretending to put something underneath something ' * 3, 'прыжок\nв длину', '跳远',
         '\t ']


def video(*shades: int, size: tuple[int, int] = (20, 30), true: str | None = 'left', predicted: str = 'left') -> Shown:
    """A video of uniform grey frames, of a (height, width)."""
    frames = np.stack([np.full((*size, 3), shade, np.uint8) for shade in shades])
    return Shown(frames, 'left/1.mp4', predicted, 0.874, true)


def runs(pixels: np.ndarray) -> list[int]:
    """The values of a line of pixels, each once where it stands side by side, without white."""
    line = pixels[:, 0].tolist()
    return [value for i, value in enumerate(line) if value != 255 and (i == 0 or line[i - 1] != value)]


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Everything that is written, with its colour."""
    seen = []
    write = ImageDraw.ImageDraw.text
    monkeypatch.setattr(ImageDraw.ImageDraw, 'text', lambda draw, at, text, colour, font: (
        seen.append((text, colour)), write(draw, at, text, colour, font)))
    return seen


def test_a_row_for_each_video_and_its_frames_in_order() -> None:
    sheet = np.asarray(contact_sheet([video(*range(10, 170, 10)), video(200, 100, predicted='right')], 'Title', 4))
    bars = [ImageColor.getrgb(colour) for colour in (RIGHT, WRONG)]
    rows = [np.flatnonzero((sheet[:, drawing.GAP] == bar).all(-1)) for bar in bars]
    assert len(rows[0]) == len(rows[1]) > 0 and rows[0][-1] < rows[1][0]
    first, second = (sheet[row[0] + 20, drawing.TEXT_WIDTH:] for row in rows)
    assert runs(first) == [10, 60, 110, 160], 'from the first to the last, evenly'
    assert runs(second) == [200, 100], 'no frame twice where there are few'


@pytest.mark.parametrize('true, predicted, colour, lines', [
    ('left', 'left', RIGHT, ['true: left', '\u2713 predicted, 0.87: left']),
    ('left', 'up', WRONG, ['true: left', '\u2717 predicted, 0.87: up']),
    (None, 'up', UNKNOWN, ['predicted, 0.87: up'])])
@pytest.mark.parametrize('draw', [contact_sheet, animation])
def test_labels(texts: list, draw, true: str | None, predicted: str, colour: str, lines: list[str]) -> None:
    draw([video(1, 2, true=true, predicted=predicted)], 'A title')
    written = [text for text, _ in texts]
    assert written[0] == 'A title' and written[1:1 + len(lines)] == lines
    assert texts[len(lines)][1] == colour


def test_an_animation_shows_all_videos_at_once() -> None:
    pictures = animation([video(10, 20, 30), video(110, 120, predicted='up')], 'Title')
    assert len(pictures) == 3 and len({picture.size for picture in pictures}) == 1
    middles = [runs(np.asarray(picture)[90]) for picture in pictures]
    colours = [ImageColor.getrgb(colour)[0] for colour in (RIGHT, WRONG)]
    assert middles == [[colours[0], a, colours[0], colours[1], b, colours[1]]
                       for a, b in ((10, 110), (20, 120), (30, 120))], 'the shorter one waits at its end'


@pytest.mark.parametrize('size', [(7, 33), (1, 1), (2, 2000), (2000, 2), (256, 340)])
@pytest.mark.parametrize('count, frames', [(1, 1), (5, 3)])
def test_any_size_is_drawn(tmp_path: Path, size: tuple[int, int], count: int, frames: int) -> None:
    videos = [video(*range(1, frames + 1), size=size, true=name) for name in NAMES[:count]]
    write_pictures(tmp_path, videos, 'Title')
    assert sorted(path.name for path in tmp_path.iterdir()) == ['clips.gif', 'sheet.png']
    with Image.open(tmp_path / 'sheet.png') as sheet, Image.open(tmp_path / 'clips.gif') as clips:
        assert sheet.width < 2000 and sheet.height > 90 * count
        assert clips.n_frames == frames and clips.width < 1000


def test_the_animation_goes_on_for_ever(tmp_path: Path) -> None:
    write_pictures(tmp_path, [video(0, 100, 200)], 'Title')
    with Image.open(tmp_path / 'clips.gif') as clips:
        assert clips.info['loop'] == 0
        durations = []
        for i in range(clips.n_frames):
            clips.seek(i)
            durations.append(clips.info['duration'])
    assert durations == [drawing.MILLISECONDS, drawing.MILLISECONDS, drawing.PAUSE]


@pytest.mark.parametrize('name', NAMES)
def test_names_of_any_length_stay_in_their_place(name: str) -> None:
    lines = wrapped(f'true: {name}', 13, 150, 2)
    assert 1 <= len(lines) <= 2 and all(drawing.fits(line, 13, 150) for line in lines)
    whole = ' '.join(f'true: {name}'.split())
    assert ' '.join(lines) == whole or lines[-1].endswith('\u2026')


def outputs(label: int, found: int, name: str) -> ActionDataSample:
    sample = ActionDataSample().set_gt_label(label).set_pred_score(torch.eye(2)[found] * 0.9)
    sample.set_metainfo(dict(filename=f'/data/videos/{name}'))
    return sample


def shown_by(hook: hooks.ShowVideosHook, monkeypatch: pytest.MonkeyPatch, right: list[bool]) -> tuple[list[Shown], str]:
    """What the hook draws of a test with these outcomes, and its title."""
    drawn = []
    monkeypatch.setattr(hooks, 'write_pictures', lambda folder, videos, title: drawn.append((videos, title)))
    dataset = SimpleNamespace(metainfo=dict(classes=('a', 'b')))
    runner = SimpleNamespace(test_dataloader=SimpleNamespace(dataset=dataset))
    hook.before_test_epoch(runner)
    for i, good in enumerate(right):
        clip = torch.full((3, 3, 2, 4, 4), i, dtype=torch.uint8)
        hook.after_test_iter(runner, i, dict(inputs=[clip]), [outputs(i % 2, i % 2 if good else 1 - i % 2, f'{i}.mp4')])
    hook.after_test_epoch(runner)
    return drawn[0]


@pytest.mark.parametrize('right, wrong, drawn', [(20, 20, (3, 3)), (30, 1, (5, 1)), (1, 30, (1, 5)), (40, 0, (6, 0)),
                                                 (0, 9, (0, 6)), (2, 1, (2, 1))])
def test_as_many_right_as_wrong_are_drawn(monkeypatch: pytest.MonkeyPatch, right: int, wrong: int,
                                          drawn: tuple[int, int]) -> None:
    outcomes = np.random.default_rng(1).permutation([True] * right + [False] * wrong).tolist()
    videos, title = shown_by(hooks.ShowVideosHook('x', 6), monkeypatch, outcomes)
    good = [video.true == video.predicted for video in videos]
    assert good == [True] * drawn[0] + [False] * drawn[1]
    assert f'{drawn[0]} of the {right} right, {drawn[1]} of the {wrong} wrong' in title
    assert f'{100 * right / (right + wrong):.1f} % of {right + wrong} videos' in title
    numbers = [int(Path(video.name).stem) for video in videos]
    assert len(set(numbers)) == len(numbers)
    for number, video in zip(numbers, videos):
        assert video.true == 'ab'[number % 2] and outcomes[number] == (video.true == video.predicted)
        assert (video.frames == number).all() and video.name == f'videos/{number}.mp4'


@pytest.mark.parametrize('outcomes, limit', [([True] * 12, 4), ([True] * 6 + [False] * 6, 6)])
def test_each_video_has_the_same_chance(monkeypatch: pytest.MonkeyPatch, outcomes: list[bool], limit: int) -> None:
    times = np.zeros(12)
    for seed in range(300):
        videos, _ = shown_by(hooks.ShowVideosHook('x', limit, seed), monkeypatch, outcomes)
        times[[int(Path(video.name).stem) for video in videos]] += 1
    share = limit / 12
    assert times.sum() == 300 * limit and np.abs(times - 300 * share).max() < 4.5 * np.sqrt(300 * share * (1 - share))


def test_frames_of_what_the_network_sees() -> None:
    views = torch.arange(3 * 3 * 2 * 4 * 5, dtype=torch.uint8).reshape(3, 3, 2, 4, 5)
    frames = hooks.frames_of(views)
    assert frames.shape == (2, 4, 5, 3) and frames[1, 2, 3, 0] == views[1, 0, 1, 2, 3]
    images = views[0].transpose(0, 1)
    assert np.array_equal(hooks.frames_of(images), images.permute(0, 2, 3, 1).numpy())
    with pytest.raises(UserError, match='FormatShape'):
        hooks.frames_of(views[0, 0])
