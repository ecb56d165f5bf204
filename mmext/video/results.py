"""What a recognizer says of a video that has no label."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmext.classification.results import Classified
from mmext.video.drawing import Shown


@dataclass(frozen=True)
class Recognized(Classified):
    """A video's scores by class, from 0 to 1, and the frames of one of its views, (T, height, width, 3), RGB."""

    path: Path
    frames: np.ndarray

    def shown(self) -> Shown:
        """The video as ``drawing.write_pictures`` takes it, under its best class."""
        return Shown(self.frames, self.path.name, *self.best(1)[0])
