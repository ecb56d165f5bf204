"""A hook that draws the detections of a test."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from mmdet.structures import DetDataSample
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.visualization import Visualizer

from mmext.data.decoding import NoImage
from mmext.data.sizes import picture_of_size
from mmext.registry import HOOKS


@HOOKS.register_module()
class ShowDetectionsHook(Hook):
    """Draws every image of a test, ground truth beside detections, with mmdet's visualizer.

    It replaces mmdet's hook, which decodes images differently from the network's input, and fails on files that
    ``--skip-unreadable`` has replaced by black images.

    Args:
        out_dir: the folder for the drawings, which have the file names of the images.
        score_thr: the minimal score of drawn detections.
    """

    def __init__(self, out_dir: str, score_thr: float = 0.3) -> None:
        self.out_dir = out_dir
        self.score_thr = score_thr
        self.visualizer: Visualizer = Visualizer.get_current_instance()

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                        outputs: Sequence[DetDataSample] = ()) -> None:
        for sample in outputs:
            path, shape = sample.get('img_path'), sample.get('ori_shape')
            try:
                image = picture_of_size(path, shape)
            except NoImage:
                image = np.zeros((*shape, 3), np.uint8)
            name = os.path.basename(path)
            self.visualizer.add_datasample(name, np.ascontiguousarray(image[..., ::-1]), data_sample=sample,
                                           pred_score_thr=self.score_thr, out_file=os.path.join(self.out_dir, name))
