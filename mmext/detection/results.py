"""The results of a detector for a picture and for a video."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from mmext.data.video import Frame, FrameReader, FrameWriter
from mmext.detection.drawing import draw_boxes
from mmext.errors import UserError
from mmext.files import write_whole
from mmext.results import Result


@dataclass(frozen=True)
class Detections(Result):
    """The detections in a picture, by descending score.

    Args:
        boxes: (N, 4), x1, y1, x2, y2 in pixels of the displayed picture.
        scores: (N,), from 0 to 1.
        labels: (N,), class indices.
        names: the N class names.
        image: the picture, RGB, uint8, (height, width, 3).
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    names: list[str]
    image: np.ndarray = field(repr=False)

    def draw(self) -> np.ndarray:
        """Draws boxes, names and scores in percent on a copy of the picture."""
        texts = [f'{name} {100 * score:.0f}' for name, score in zip(self.names, self.scores)]
        return draw_boxes(self.image, self.boxes.tolist(), self.labels.tolist(), texts)

    def as_json(self) -> dict:
        """A dict for JSON: boxes rounded to 0.01 pixels, scores to four digits."""
        return dict(boxes=[[round(side, 2) for side in box] for box in self.boxes.tolist()],
                    scores=[round(score, 4) for score in self.scores.tolist()], classes=self.names)


@dataclass(frozen=True)
class DetectedVideo(Result):
    """The detections in the frames of a video, without the frames.

    Args:
        path: the file.
        rate: mean frames per second.
        times: when each frame is shown, in seconds from the first.
        frames: the detections of each frame; their ``image`` is empty.
    """

    path: Path
    rate: Fraction
    times: list[float]
    frames: list[Detections] = field(repr=False)

    def draw(self) -> np.ndarray:
        """Draws the frame that has the most detections."""
        busiest = max(range(len(self.frames)), key=lambda index: len(self.frames[index].names))
        for index, frame in enumerate(self.drawn()):
            if index == busiest:
                return frame.image
        raise UserError(f'{self.path}: the file has changed')

    def drawn(self) -> Iterator[Frame]:
        """Reads the video again, and yields its frames with their detections."""
        for frame, found in zip(FrameReader(self.path), self.frames):
            yield replace(frame, image=replace(found, image=frame.image).draw())

    def save(self, path: str | Path) -> None:
        """Writes the video with its detections as H.264 in mp4; if the suffix is that of an image, ``draw()``."""
        if Path(path).suffix.lower() != '.mp4':
            super().save(path)
            return

        def write(target: Path) -> None:
            with FrameWriter(target, self.rate) as writer:
                for frame in self.drawn():
                    writer.write(frame)

        write_whole(path, write)

    def as_json(self) -> dict:
        """A dict for JSON: the detections of each frame, with its time."""
        return dict(fps=round(float(self.rate), 4), frames=[
            dict(time=round(time, 4), **found.as_json()) for time, found in zip(self.times, self.frames)])


def detect_in_video(path: Path, detect: Callable[[np.ndarray, str], Detections]) -> DetectedVideo:
    """Applies a detector to every frame of a video.

    Args:
        path: the file.
        detect: (RGB picture, path) -> detections.

    Raises:
        UserError: the video can't be read to its end.
    """
    reader, times, found = FrameReader(path), [], []
    for frame in reader:
        detections = detect(frame.image, str(path))
        times.append(float(frame.time))
        found.append(replace(detections, image=frame.image[:0]))
    return DetectedVideo(path, reader.rate, times, found)
