"""The result of a classifier for an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

from mmext.font import font
from mmext.results import Result

DRAWN = 3  # classes
TEXT_SHARE, SMALLEST_TEXT = 20, 11  # text height: the picture's shorter side / TEXT_SHARE, at least 11 pixels


@dataclass(frozen=True)
class Scores(Result):
    """The score of each class, from 0 to 1, by the name of the class."""

    scores: dict[str, float]

    def best(self, count: int) -> list[tuple[str, float]]:
        """The ``count`` classes with the highest scores, as (name, score), highest first."""
        return sorted(self.scores.items(), key=lambda item: -item[1])[:count]

    def describe(self, count: int) -> str:
        """The ``count`` best classes and their scores as text."""
        return ', '.join(f'{name} {100 * score:.1f} %' for name, score in self.best(count))

    def as_json(self) -> dict:
        """A dict for JSON: all classes by descending score, and the scores to six digits."""
        best = self.best(len(self.scores))
        return dict(classes=[name for name, _ in best], scores=[round(score, 6) for _, score in best])


@dataclass(frozen=True)
class Classified(Scores):
    """The scores of an image, with the image: RGB, uint8, (height, width, 3)."""

    image: np.ndarray = field(repr=False)

    def draw(self) -> np.ndarray:
        """Writes the three best classes below a copy of the image."""
        height, width = self.image.shape[:2]
        size = max(SMALLEST_TEXT, round(min(height, width) / TEXT_SHARE))
        lines = [f'{name} {100 * score:.1f} %' for name, score in self.best(DRAWN)]
        widest = max(round(font(size).getlength(line)) for line in lines)
        step = round(1.4 * size)
        page = Image.new('RGB', (max(width, widest + size), height + step * len(lines) + size // 2), 'white')
        page.paste(Image.fromarray(self.image))
        draw = ImageDraw.Draw(page)
        for index, line in enumerate(lines):
            draw.text((size // 2, height + index * step + size // 4), line, '#1f2328', font(size))
        return np.asarray(page)


def scores_by_name(classes: Sequence[str] | None, scores: Tensor) -> dict[str, float]:
    """Maps the names of the classes, or their numbers if ``classes`` is empty, to their scores (num_classes,)."""
    return {str(name): score for name, score in zip(classes or range(len(scores)), scores.tolist())}
