"""The result of a recognizer for a video that has no label."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mmext.classification.results import Scores
from mmext.files import write_whole
from mmext.video.drawing import Shown, contact_sheet, write_animation


@dataclass(frozen=True)
class Recognized(Scores):
    """A video's scores by class, and the frames of one of its views, (T, height, width, 3), RGB.

    ``path`` is None for frames that come from no file.
    """

    path: Path | None
    frames: np.ndarray = field(repr=False)

    def shown(self) -> Shown:
        """The video under its best class, for ``mmext.video.drawing``."""
        return Shown(self.frames, self.path.name if self.path else '', *self.best(1)[0])

    def draw(self) -> np.ndarray:
        """Draws eight of the frames beside the best class."""
        return np.asarray(contact_sheet([self.shown()], str(self.path or 'frames')))

    def save(self, path: str | Path) -> None:
        """Writes ``draw()`` as an image, or the frames as an animation if the suffix is .gif."""
        if Path(path).suffix.lower() != '.gif':
            super().save(path)
            return
        write_whole(path, lambda target: write_animation(target, [self.shown()], str(self.path or 'frames')))
