"""What SSD300 on COCO-format data needs beyond mmdet: checked data, and all twelve metrics."""

from mmext.detection.colour import PhotoMetricDistortion
from mmext.detection.crop import MinIoURandomCrop
from mmext.detection.dataset import CocoDataset
from mmext.detection.metric import CocoMetric

__all__ = ['CocoDataset', 'CocoMetric', 'MinIoURandomCrop', 'PhotoMetricDistortion']
