"""``--tta``: a classifier sees each test image twice, as it is and flipped."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.model import BaseTTAModel

from mmext.registry import MODELS


@MODELS.register_module()
class FlippedClassifier(BaseTTAModel):
    """Averages the probabilities of each image and of its mirror image.

    Args:
        module: The classifier.
        kwargs: Arguments of mmengine's ``BaseTTAModel``.
    """

    def test_step(self, data: dict) -> Any:
        """Classifies a batch of a loader: dict(inputs=(N, C, H, W), labels=(N,), ...) -> one dict per sample."""
        views = {key: [value, value] for key, value in data.items()}
        views['inputs'] = [data['inputs'], data['inputs'].flip(-1)]
        return super().test_step(views)

    def merge_preds(self, data_samples_list: Any) -> Any:
        """Averages ``pred_scores`` of the views of each image."""
        return [dict(views[0], pred_scores=torch.stack([view['pred_scores'] for view in views]).mean(0))
                for views in data_samples_list]
