"""What a detector finds in a picture that has no annotations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmext.detection.drawing import draw_boxes


@dataclass(frozen=True)
class Detections:
    """What was found in a picture, the surest first.

    Args:
        boxes: (N, 4), x1, y1, x2, y2 in pixels of the picture as it is seen.
        scores: (N,), from 0 to 1.
        labels: (N,), numbers of classes.
        names: of these classes, N.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    names: list[str]

    def draw(self, image: np.ndarray) -> np.ndarray:
        """The picture, RGB, uint8, (height, width, 3), with boxes, names and scores in percent."""
        texts = [f'{name} {100 * score:.0f}' for name, score in zip(self.names, self.scores)]
        return draw_boxes(image, self.boxes.tolist(), self.labels.tolist(), texts)

    def as_json(self) -> dict:
        """Boxes to a hundredth of a pixel, scores to four digits."""
        return dict(boxes=[[round(side, 2) for side in box] for box in self.boxes.tolist()],
                    scores=[round(score, 4) for score in self.scores.tolist()], classes=self.names)
