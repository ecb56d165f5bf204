"""Object detection on COCO-format data: additions to mmdet for data checks, augmentation, evaluation and SSD's loss."""

from mmext.detection.colour import PhotoMetricDistortion
from mmext.detection.crop import MinIoURandomCrop
from mmext.detection.dataset import CocoDataset
from mmext.detection.hooks import ShowDetectionsHook
from mmext.detection.metric import CocoMetric
from mmext.detection.ssd_head import SSDHead

__all__ = ['CocoDataset', 'CocoMetric', 'MinIoURandomCrop', 'PhotoMetricDistortion', 'SSDHead',
           'ShowDetectionsHook']
