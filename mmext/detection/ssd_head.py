"""mmdet's SSD head with a loss that does not depend on the number of processes."""

from __future__ import annotations

import torch
from mmdet.models.dense_heads import SSDHead as MMDetSSDHead
from mmdet.utils import reduce_mean
from mmengine.dist import get_world_size

from mmext.registry import MODELS


@MODELS.register_module()
class SSDHead(MMDetSSDHead):
    """SSD's head (Liu et al., arXiv 1512.02325), with mmdet's arguments; in a single process it equals mmdet's.

    The loss is a sum over matched anchors, divided by their number N (eq. 1). With several processes, mmdet divides by
    the N of each process's own images. Here N is averaged over the processes, so that the averaged loss and gradients
    are those of the whole batch in one process.
    """

    def get_targets(self, *args, **kwargs) -> tuple:
        """mmdet's targets, whose fifth element is N, averaged over the processes."""
        targets = super().get_targets(*args, **kwargs)
        if get_world_size() == 1:
            return targets
        labels, own = targets[0][0], targets[4]
        return (*targets[:4], reduce_mean(labels.new_tensor(own, dtype=torch.float32)), *targets[5:])
