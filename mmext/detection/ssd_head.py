"""mmdet's SSD head, with a loss that does not depend on how many processes share the batch."""

from __future__ import annotations

import torch
from mmdet.models.dense_heads import SSDHead as MMDetSSDHead
from mmdet.utils import reduce_mean
from mmengine.dist import get_world_size

from mmext.registry import MODELS


@MODELS.register_module()
class SSDHead(MMDetSSDHead):
    """SSD's head (Liu et al., arXiv 1512.02325): in one process mmdet's, whose arguments it takes.

    The loss is a sum over matched anchors, divided by their number N (eq. 1). With several processes mmdet's divides by
    the N of each process's own images; here N is the mean over the processes, so that their mean loss, and the mean of
    their gradients, are those of the whole batch in one process.
    """

    def get_targets(self, *args, **kwargs) -> tuple:
        """mmdet's targets; the fifth of them is N."""
        targets = super().get_targets(*args, **kwargs)
        if get_world_size() == 1:
            return targets
        labels, own = targets[0][0], targets[4]
        return (*targets[:4], reduce_mean(labels.new_tensor(own, dtype=torch.float32)), *targets[5:])
