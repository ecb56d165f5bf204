"""Applies a model to a user's images and videos, and writes pictures, videos and JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from mmext.data.decoding import read_rgb
from mmext.data.inputs import Input
from mmext.errors import DiskFull, UserError
from mmext.files import write_whole
from mmext.prediction.json_file import ResultWriter
from mmext.results import Result, write_picture


@dataclass
class Predictor:
    """Applies a model to inputs, and writes the outputs.

    Args:
        infer: (RGB picture, path) -> result; with ``whole_videos``, also (path of a video) -> result.
        header: what the JSON file begins with, such as the names of all classes.
        file: the JSON file.
        tell: called with a line of text for each input that can't be read completely.
        tell_result: called with the input and its result, unless a video is read frame by frame; None tells nothing.
        whole_videos: whether the model takes a whole video at once; otherwise it takes its frames one by one.
        draws: whether to write pictures and videos, too.
        quiet: whether to hide progress bars.
        read: the number of files read so far, including incomplete ones.
        found: the number of detections so far.
    """

    infer: Callable[..., Any]
    header: dict
    file: Path
    tell: Callable[[str], None]
    tell_result: Callable[[Path, Any], None] | None = None
    whole_videos: bool = False
    draws: bool = True
    quiet: bool = True
    read: int = 0
    found: int = 0

    def run(self, inputs: Sequence[Input], skipped: dict[str, str]) -> dict[str, str]:
        """Writes pictures, videos and JSON.

        Args:
            inputs: the files to process.
            skipped: path -> reason for inputs that were skipped already.

        Returns:
            ``skipped`` and the inputs that could not be read to their end: path -> reason.
        """
        broken: dict[str, str] = {}

        def work(target: Path) -> None:
            unread = dict(skipped)
            with target.open('w') as file:
                result = ResultWriter(file, self.header)
                result.begin()
                for item in tqdm(inputs, unit='file', disable=self.quiet, dynamic_ncols=True):
                    try:
                        error = self.step_for(item)(item, result)
                        self.read += 1
                    except DiskFull:  # the input is not to blame, and the next one would fail too
                        raise
                    except UserError as unreadable:
                        error = unread[str(item.path)] = reason_of(unreadable, item.path)
                    if error:
                        broken[str(item.path)] = error
                        self.tell(f'{"skipped" if str(item.path) in unread else "incomplete"}: {item.path}: {error}')
                result.finish(unread)

        write_whole(self.file, work)
        return {**skipped, **broken}

    def step_for(self, item: Input) -> Callable[[Input, ResultWriter], str | None]:
        """The method for an input."""
        if not item.is_video:
            return self.image
        return self.whole_video if self.whole_videos else self.video

    def image(self, item: Input, result: ResultWriter) -> None:
        """Processes an image. Raises a UserError if it can't be read."""
        image = read_rgb(item.path)
        found = self.infer(image, str(item.path))
        self.add(item, found, result, self.entry_of(item, 'image', image))

    def whole_video(self, item: Input, result: ResultWriter) -> None:
        """Processes a video at once. Raises a UserError if it can't be read."""
        found = self.infer(item.path)
        self.add(item, found, result, self.entry_of(item, 'video'))

    def add(self, item: Input, found: Result, result: ResultWriter, entry: dict) -> None:
        """Writes the picture and the entry of a result."""
        self.found += len(getattr(found, 'names', ()))
        if self.draws:
            write_picture(item.output, found.draw())
        result.add({**entry, **found.as_json()})
        if self.tell_result:
            self.tell_result(item.path, found)

    def video(self, item: Input, result: ResultWriter) -> str | None:
        """Processes a video frame by frame.

        Returns:
            Why it could not be read to its end; None if it was.

        Raises:
            UserError: not even the first frame can be read.
        """
        from mmext.data.video import FrameReader, FrameWriter, VideoError

        reader = FrameReader(item.path)
        frames = iter(reader)
        frame = next(frames)
        result.begin_video(dict(self.entry_of(item, 'video', frame.image), fps=round(float(reader.rate), 4)))
        error = None

        def work(target: Path) -> None:
            nonlocal error, frame
            bar = tqdm(total=reader.expected, desc=item.path.name, unit='frame', disable=self.quiet, leave=False,
                       dynamic_ncols=True)
            with FrameWriter(target, reader.rate) if self.draws else nullcontext() as writer, bar:
                while frame is not None:
                    detections = self.infer(frame.image, str(item.path))
                    self.found += len(detections.names)
                    if writer:
                        writer.write(replace(frame, image=detections.draw()))
                    result.add(dict(time=round(float(frame.time), 4), **detections.as_json()))
                    bar.update()
                    try:
                        frame = next(frames, None)
                    except VideoError as broken:
                        error, frame = reason_of(broken, item.path), None

        if self.draws:
            write_whole(item.output, work)
        else:
            work(item.output)
        result.end_video(error)
        return error

    def entry_of(self, item: Input, kind: str, image: np.ndarray | None = None) -> dict:
        """The fields that all entries have in common; those of size and drawing where there are such."""
        size = {} if image is None else dict(width=image.shape[1], height=image.shape[0])
        drawn = dict(output=str(item.output)) if self.draws else {}
        if self.draws and item.output.is_relative_to(self.file.parent):
            drawn = dict(output=item.output.relative_to(self.file.parent).as_posix())
        return dict(path=str(item.path), kind=kind, **size, **drawn)


def reason_of(error: UserError, path: Path) -> str:
    """The reason of an error, without the path at the beginning of its message."""
    return getattr(error, 'reason', None) or str(error).removeprefix(f'{path}: ')
