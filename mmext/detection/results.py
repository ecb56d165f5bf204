"""The result of a detector for one picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmext.detection.drawing import draw_boxes


@dataclass(frozen=True)
class Detections:
    """The detections in a picture, by descending score.

    Args:
        boxes: (N, 4), x1, y1, x2, y2 in pixels of the displayed picture.
        scores: (N,), from 0 to 1.
        labels: (N,), class indices.
        names: the N class names.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    names: list[str]

    def draw(self, image: np.ndarray) -> np.ndarray:
        """Draws boxes, names and scores in percent on a copy of a picture, RGB, uint8, (height, width, 3)."""
        texts = [f'{name} {100 * score:.0f}' for name, score in zip(self.names, self.scores)]
        return draw_boxes(image, self.boxes.tolist(), self.labels.tolist(), texts)

    def as_json(self) -> dict:
        """A dict for JSON: boxes rounded to 0.01 pixels, scores to four digits."""
        return dict(boxes=[[round(side, 2) for side in box] for box in self.boxes.tolist()],
                    scores=[round(score, 4) for score in self.scores.tolist()], classes=self.names)
