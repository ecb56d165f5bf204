"""Pictures of a detector's test."""

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
    """Draws every image of a test, its objects beside its detections; mmdet's visualizer draws.

    In the place of mmdet's hook, which decodes images in another way than the network gets them, and ends the test
    where ``--skip-unreadable`` has put a black one in place of a file.

    Args:
        out_dir: gets a file for each image, of the image's name.
        score_thr: the least score of detections.
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
