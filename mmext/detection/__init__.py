"""What SSD300 on COCO-format data needs beyond mmdet: checked data, and all twelve metrics."""

from mmext.detection.dataset import CocoDataset
from mmext.detection.metric import CocoMetric

__all__ = ['CocoDataset', 'CocoMetric']
