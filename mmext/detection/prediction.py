"""Runs a detector on a user's images, videos and folders, and writes pictures or videos with boxes, and JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from mmext.data.decoding import NoImage, read_picture
from mmext.data.suffixes import IMAGES, VIDEOS
from mmext.detection.prediction_file import RESULT, ResultWriter
from mmext.detection.results import Detections
from mmext.errors import DiskFull, UserError
from mmext.files import print_left_out, write_bytes, write_whole

QUALITY = 92  # of JPEG files, up to 100

Detect = Callable[[np.ndarray, str], Detections]


@dataclass(frozen=True)
class Input:
    """An input file, and the path of its output picture or video."""

    path: Path
    output: Path

    @property
    def is_video(self) -> bool:
        """Whether the input is a video."""
        return is_video(self.path)


def is_video(path: Path) -> bool:
    """Whether a file has the suffix of a video."""
    return path.suffix.lower() in VIDEOS


def find_inputs(paths: Iterable[Path], out: Path) -> tuple[list[Input], dict[str, str]]:
    """Plans which files are processed, and where their outputs go.

    The output of a file is ``out/<name>.jpg`` or ``.mp4``; a file in a folder keeps its relative path. Colliding names
    keep their original suffix too, or get a number. Files in ``out`` are never inputs.

    Args:
        paths: files and folders.
        out: the output folder.

    Returns:
        The inputs, and path -> reason for those that are skipped.

    Raises:
        UserError: an output would overwrite an input, or be written among the inputs.
    """
    skipped: dict[str, str] = {}
    found: dict[Path, Path] = {}  # path -> place
    for path in paths:
        if not path.exists():
            skipped[str(path)] = 'no such file'
        elif not path.is_dir():
            found.setdefault(path, Path(path.name))
        else:
            if path.resolve() == out.resolve():
                raise UserError(f'{path}: the results would be written among the images of this folder; choose another '
                                'folder with --out')
            inside = files_in(path)
            if path.resolve() in out.resolve().parents:  # results of an earlier run
                inside = [file for file in inside if out.resolve() not in file.resolve().parents]
            found.update((file, file.relative_to(path)) for file in inside if file not in found)
            if not inside:
                skipped[str(path)] = 'no images or videos in this folder'
    taken: set[str] = set()
    inputs = [Input(path, out / free_name(place, '.mp4' if is_video(path) else '.jpg', taken))
              for path, place in found.items()]
    sources = {path.resolve() for path in found}
    for item in inputs:
        if item.output.resolve() in sources:
            raise UserError(f'{item.output}: an output would overwrite this input; choose another folder with '
                            '--out')
    return inputs, skipped


def files_in(folder: Path) -> list[Path]:
    """The images and videos in a folder and its subfolders, without hidden ones. Other files are reported."""
    files = [file for file in sorted(folder.rglob('*')) if not file.name.startswith('.') and file.is_file()]
    found = [file for file in files if file.suffix.lower() in (*IMAGES, *VIDEOS)]
    others = (str(file.relative_to(folder)) for file in files if file.suffix.lower() not in (*IMAGES, *VIDEOS))
    print_left_out(folder, others, 'images or videos')
    return found


def free_name(place: Path, suffix: str, taken: set[str]) -> Path:
    """A name that is not in ``taken``, also on a case-insensitive file system; it is added to ``taken``."""
    name = place.with_suffix(suffix)
    number = 1
    while str(name).lower() in taken:
        name = place.with_name(f'{place.name}{"" if number == 1 else f"_{number}"}{suffix}')
        number += 1
    taken.add(str(name).lower())
    return name


@dataclass
class Predictor:
    """Runs a detector on inputs, and writes the outputs.

    Args:
        detect: (RGB picture, path) -> detections.
        classes: the names of all classes.
        score: the minimal score that ``detect`` uses.
        out: the output folder.
        tell: called with a line of text for each input that can't be read completely.
        quiet: whether to hide progress bars.
        found: the number of detections so far.
        read: the number of files read so far, including incomplete ones.
    """

    detect: Detect
    classes: Sequence[str]
    score: float
    out: Path
    tell: Callable[[str], None]
    quiet: bool = True
    found: int = 0
    read: int = 0

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
                result = ResultWriter(file, self.classes, self.score)
                result.begin()
                for item in tqdm(inputs, unit='file', disable=self.quiet, dynamic_ncols=True):
                    try:
                        error = (self.video if item.is_video else self.image)(item, result)
                        self.read += 1
                    except DiskFull:  # the input is not to blame, and the next one would fail too
                        raise
                    except UserError as unreadable:
                        error = unread[str(item.path)] = reason_of(unreadable, item.path)
                    if error:
                        broken[str(item.path)] = error
                        self.tell(f'{"skipped" if str(item.path) in unread else "incomplete"}: {item.path}: {error}')
                result.finish(unread)

        write_whole(self.out / RESULT, work)
        return {**skipped, **broken}

    def image(self, item: Input, result: ResultWriter) -> None:
        """Processes an image. Raises a UserError if it can't be read."""
        try:
            image = np.ascontiguousarray(read_picture(item.path)[..., ::-1])
        except NoImage as error:
            raise UserError(str(error)) from None
        detections = self.detect(image, str(item.path))
        self.found += len(detections.names)
        encoded = cv2.imencode('.jpg', detections.draw(image)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
        write_bytes(item.output, encoded.tobytes())
        result.add(dict(self.entry_of(item, 'image', image), **detections.as_json()))

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
            with FrameWriter(target, reader.rate) as writer, bar:
                while frame is not None:
                    detections = self.detect(frame.image, str(item.path))
                    self.found += len(detections.names)
                    writer.write(replace(frame, image=detections.draw(frame.image)))
                    result.add(dict(time=round(float(frame.time), 4), **detections.as_json()))
                    bar.update()
                    try:
                        frame = next(frames, None)
                    except VideoError as broken:
                        error, frame = reason_of(broken, item.path), None

        write_whole(item.output, work)
        result.end_video(error)
        return error

    def entry_of(self, item: Input, kind: str, image: np.ndarray) -> dict:
        """The fields that entries of images and videos have in common."""
        height, width = image.shape[:2]
        return dict(path=str(item.path), kind=kind, width=width, height=height,
                    output=item.output.relative_to(self.out).as_posix())


def reason_of(error: UserError, path: Path) -> str:
    """The reason of an error, without the path at the beginning of its message."""
    return getattr(error, 'reason', None) or str(error).removeprefix(f'{path}: ')
