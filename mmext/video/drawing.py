"""Drawing of videos with a recognizer's predictions: as a contact sheet, and side by side as an animation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from mmext.files import write_whole
from mmext.font import font

RIGHT, WRONG, UNKNOWN = '#1a7f37', '#cf222e', '#57606a'
INK, PALE = '#1f2328', '#6e7781'
GAP = 6
MILLISECONDS, PAUSE = 120, 700  # durations of a frame of the animation, and of its last one
TEXT_WIDTH, THUMB = 270, (170, 96)  # of the sheet: the column of text, and the largest frame (width, height)
TILE = (168, 132)  # of the animation: a frame's place (width, height)


@dataclass(frozen=True)
class Shown:
    """A video with a recognizer's prediction.

    Args:
        frames: RGB, uint8, (T, height, width, 3).
        name: of the video.
        predicted: the class with the highest score.
        score: that score, from 0 to 1.
        true: the true class; None where it is not known.
    """

    frames: np.ndarray
    name: str
    predicted: str
    score: float
    true: str | None = None

    @property
    def colour(self) -> str:
        """The colour of the border: that of a right or wrong prediction, or of one that can't be judged."""
        return UNKNOWN if self.true is None else RIGHT if self.true == self.predicted else WRONG

    @property
    def verdict(self) -> str:
        """The prediction as text: a mark for right or wrong, the score and the class."""
        mark = '' if self.true is None else '\u2713 ' if self.true == self.predicted else '\u2717 '
        return f'{mark}predicted, {self.score:.2f}: {self.predicted}'


def contact_sheet(videos: Sequence[Shown], title: str, columns: int = 8) -> Image.Image:
    """Draws a row for each video: true class, prediction, name, and frames in the order of time.

    Args:
        videos: at least one.
        title: of the sheet.
        columns: frames in a row, evenly spread over the video; all frames where it has fewer.
    """
    rows = [[fitted(frame, THUMB) for frame in evenly_spread(video.frames, columns)] for video in videos]
    wide, high = (max(image.size[axis] for row in rows for image in row) for axis in (0, 1))
    high = max(high, 5 * line_height(13))  # two lines of each class, one of the name
    width = TEXT_WIDTH + max(map(len, rows)) * (wide + GAP) + 2 * GAP
    heading = [(line, INK) for line in wrapped(title, 15, width - 2 * GAP, 3)]
    top = 2 * GAP + len(heading) * line_height(15)
    sheet = Image.new('RGB', (width, top + len(rows) * (high + GAP)), 'white')
    draw = ImageDraw.Draw(sheet)
    write_lines(draw, (GAP, GAP), heading, 15)
    for i, (video, row) in enumerate(zip(videos, rows)):
        y = top + i * (high + GAP)
        draw.rectangle((GAP, y, 2 * GAP - 1, y + high - 1), video.colour)
        name = [(line, PALE) for line in wrapped(video.name, 13, TEXT_WIDTH - 3 * GAP, 1)]
        write_lines(draw, (3 * GAP, y), caption(video, 13, TEXT_WIDTH - 3 * GAP) + name, 13)
        for j, image in enumerate(row):
            sheet.paste(image, (TEXT_WIDTH + GAP + j * (wide + GAP), y))
    return sheet


def animation(videos: Sequence[Shown], title: str, columns: int = 4) -> list[Image.Image]:
    """Draws all videos side by side, one picture for each moment; shorter videos stop at their last frame.

    Args:
        videos: at least one.
        title: of the pictures.
        columns: videos in a row.
    """
    tiles = [[fitted(frame, TILE) for frame in video.frames] for video in videos]
    columns = min(columns, len(videos))
    captions = [caption(video, 12, TILE[0]) for video in videos]
    high = TILE[1] + max(map(len, captions)) * line_height(12) + 3 * GAP
    width = columns * (TILE[0] + 3 * GAP) + GAP
    heading = [(line, INK) for line in wrapped(title, 13, width - 2 * GAP, 4)]
    top = 2 * GAP + len(heading) * line_height(13)
    page = Image.new('RGB', (width, top + -(-len(videos) // columns) * high), 'white')
    draw = ImageDraw.Draw(page)
    write_lines(draw, (GAP, GAP), heading, 13)
    places = []
    for i, (video, tile, lines) in enumerate(zip(videos, tiles, captions)):
        x, y = 2 * GAP + i % columns * (TILE[0] + 3 * GAP), top + i // columns * high + GAP // 2
        w, h = tile[0].size
        places.append((x + (TILE[0] - w) // 2, y + (TILE[1] - h) // 2))
        left, upper = places[-1]
        draw.rectangle((left - 3, upper - 3, left + w + 2, upper + h + 2), video.colour)
        write_lines(draw, (x, y + TILE[1] + GAP), lines, 12)
    pictures = []
    for moment in range(max(map(len, tiles))):
        pictures.append(page.copy())
        for place, tile in zip(places, tiles):
            pictures[-1].paste(tile[min(moment, len(tile) - 1)], place)
    return pictures


def frame_grid(frames: np.ndarray, count: int = 8, columns: int = 4) -> Image.Image:
    """Draws some frames of a video in rows, in the order of time.

    Args:
        frames: RGB, uint8, (T, height, width, 3).
        count: the greatest number of frames, evenly spread over the video.
        columns: frames in a row.
    """
    images = [fitted(frame, THUMB) for frame in evenly_spread(frames, count)]
    wide, high = images[0].width + GAP // 2, images[0].height + GAP // 2
    columns = min(columns, len(images))
    grid = Image.new('RGB', (columns * wide - GAP // 2, -(-len(images) // columns) * high - GAP // 2), 'white')
    for i, image in enumerate(images):
        grid.paste(image, (i % columns * wide, i // columns * high))
    return grid


def write_pictures(folder: str | Path, videos: Sequence[Shown], title: str) -> None:
    """Writes ``sheet.png`` and ``clips.gif`` into a folder, each completely or not at all."""
    sheet = contact_sheet(videos, title)
    write_whole(Path(folder, 'sheet.png'), lambda path: sheet.save(path, 'PNG'))
    write_whole(Path(folder, 'clips.gif'), lambda path: write_animation(path, videos, title))


def write_animation(path: Path, videos: Sequence[Shown], title: str) -> None:
    """Writes ``animation`` as a GIF."""
    pictures = animation(videos, title)
    durations = [MILLISECONDS] * (len(pictures) - 1) + [PAUSE]
    pictures[0].save(path, 'GIF', save_all=True, append_images=pictures[1:], duration=durations, loop=0)


def caption(video: Shown, size: int, width: int) -> list[tuple[str, str]]:
    """The true class and the prediction in lines with their colours, for a font size and width in pixels."""
    true = [] if video.true is None else wrapped(f'true: {video.true}', size, width, 2)
    return [(line, INK) for line in true] + [(line, video.colour) for line in wrapped(video.verdict, size, width, 2)]


def evenly_spread(frames: np.ndarray, count: int) -> list[np.ndarray]:
    """At most ``count`` of the frames (T, height, width, 3), evenly spread from the first to the last."""
    chosen = np.linspace(0, len(frames) - 1, min(count, len(frames))).round().astype(int)
    return [frames[i] for i in chosen]


def fitted(frame: np.ndarray, box: tuple[int, int]) -> Image.Image:
    """A frame (height, width, 3) resized to fit a box (width, height), its aspect ratio kept."""
    height, width = frame.shape[:2]
    scale = min(box[0] / width, box[1] / height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return Image.fromarray(np.ascontiguousarray(frame)).resize(size, Image.Resampling.BICUBIC)


def wrapped(text: str, size: int, width: int, lines: int) -> list[str]:
    """Breaks a text into at most ``lines`` lines of a width in pixels; what does not fit is replaced by '\u2026'."""
    words, found = text.split() or [''], []
    while words and len(found) < lines:
        line, last = words.pop(0), len(found) == lines - 1
        while words and (last or fits(f'{line} {words[0]}', size, width)):
            line += f' {words.pop(0)}'
        found.append(line if fits(line, size, width) else shortened(line, size, width))
    return found


def shortened(text: str, size: int, width: int) -> str:
    """The beginning of a text, ended by '\u2026', that fits a width in pixels."""
    while text and not fits(f'{text}\u2026', size, width):
        text = text[:-1]
    return f'{text}\u2026'


def fits(text: str, size: int, width: int) -> bool:
    """Whether a text of a font size fits a width in pixels."""
    return font(size).getlength(text) <= width


def write_lines(draw: ImageDraw.ImageDraw, at: tuple[int, int], lines: Sequence[tuple[str, str]], size: int) -> None:
    """Writes lines, each with its colour, below each other, from (x, y) on."""
    for i, (line, colour) in enumerate(lines):
        draw.text((at[0], at[1] + i * line_height(size)), line, colour, font(size))


def line_height(size: int) -> int:
    """The distance between lines of a font size, in pixels."""
    return size + 5
