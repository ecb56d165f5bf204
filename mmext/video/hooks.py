"""The hook that draws videos of a recognizer's test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from mmaction.structures import ActionDataSample
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmext.errors import UserError
from mmext.registry import HOOKS
from mmext.video.drawing import Shown, write_pictures


@HOOKS.register_module()
class ShowVideosHook(Hook):
    """Draws some of a test's videos, as the network saw them: ``sheet.png`` and ``clips.gif`` (see ``drawing``).

    Half of them are recognized and half are not, chosen at random from the whole test; where there are too few of one
    kind, more of the other are drawn. Of several views of a video the middle one of the list is drawn. With several
    processes, the first one draws videos of its own share.

    Args:
        out_dir: folder for the pictures.
        videos: the largest number of videos to draw.
        seed: of the random choice.

    Raises:
        UserError: the pipeline's input format is neither NCTHW nor NCHW.
    """

    def __init__(self, out_dir: str, videos: int = 12, seed: int = 0) -> None:
        self.out_dir = out_dir
        self.videos = videos
        self.seed = seed

    def before_test_epoch(self, runner: Runner) -> None:
        """Begins a new choice."""
        self.rng = np.random.default_rng(self.seed)
        self.classes = getattr(runner.test_dataloader.dataset, 'metainfo', {}).get('classes')
        # By whether they are right: the number of videos so far, and the chosen ones with their numbers.
        self.counts = {True: 0, False: 0}
        self.kept: dict[bool, list[tuple[int, Shown]]] = {True: [], False: []}

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                        outputs: Sequence[ActionDataSample] | None = None) -> None:
        """Chooses among the videos of a batch."""
        assert data_batch is not None  # a test's loop always hands it on
        samples = cast(Sequence[Any], outputs)  # their fields are declared nowhere
        for inputs, sample in zip(data_batch['inputs'], samples):
            scores, label = sample.pred_score.cpu(), int(sample.gt_label)
            found = int(scores.argmax())
            place = self.index_for(found == label)
            if place is None:
                continue
            name = '/'.join(Path(sample.get('filename', '')).parts[-2:])
            shown = Shown(frames_of(inputs), name, self.name(found), float(scores[found]), self.name(label))
            self.kept[found == label][place:place + 1] = [(sum(self.counts.values()), shown)]

    def name(self, label: int) -> str:
        """The name of a class; its number where the classes have no names."""
        return self.classes[label] if self.classes else str(label)

    def index_for(self, right: bool) -> int | None:
        """The index at which to keep a video, such that all are equally likely to stay; None if it is not kept.

        Args:
            right: whether the video is recognized.
        """
        self.counts[right] += 1
        place = len(self.kept[right])
        if place == self.videos:
            place = int(self.rng.integers(self.counts[right]))
        return place if place < self.videos else None

    def after_test_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Draws the chosen videos."""
        if not is_main_process():
            return
        of_wrong = min(len(self.kept[False]), max(self.videos // 2, self.videos - len(self.kept[True])))
        right, wrong = self.chosen(True, self.videos - of_wrong), self.chosen(False, of_wrong)
        total = sum(self.counts.values())
        title = (f'{100 * self.counts[True] / total:.1f} % of {total} videos recognized. Drawn at random: {len(right)} '
                 f'of the {self.counts[True]} right, {len(wrong)} of the {self.counts[False]} wrong.')
        write_pictures(self.out_dir, [*right, *wrong], title)

    def chosen(self, right: bool, count: int) -> list[Shown]:
        """At most ``count`` of the right or wrong videos that were kept, in the order of the test."""
        order = self.rng.permutation(len(self.kept[right]))[:count]
        return [video for _, video in sorted((self.kept[right][i] for i in order), key=lambda video: video[0])]


def frames_of(inputs: torch.Tensor) -> np.ndarray:
    """The frames of one view of a formatted video.

    Args:
        inputs: uint8, views (V, 3, T, height, width), or images (T, 3, height, width).

    Returns:
        uint8, (T, height, width, 3), of the middle view.

    Raises:
        UserError: the inputs have another shape.
    """
    if inputs.ndim == 5:
        frames = inputs[len(inputs) // 2].permute(1, 2, 3, 0)
    elif inputs.ndim == 4:
        frames = inputs.permute(0, 2, 3, 1)
    else:
        raise UserError(f'test_dataloader.dataset.pipeline: a video has the shape {tuple(inputs.shape)}; to draw it, '
                        "FormatShape needs input_format='NCTHW' or 'NCHW'")
    return frames.contiguous().cpu().numpy().copy()
