"""Image classification, for pretraining and verifying the backbones."""

from mmext.classification.arrays import collate_images
from mmext.classification.batch_transforms import BatchCenterPad, BatchRandomCrop, BatchRandomFlip
from mmext.classification.caltech import Caltech101
from mmext.classification.classifier import Classifier, ImagePreprocessor, create_classifier
from mmext.classification.datasets import CIFAR10, CIFAR100, MNIST, SVHN, FashionMNIST
from mmext.classification.folders import ImageFolder
from mmext.classification.image_transforms import PackClassInputs, RandomResizedCrop
from mmext.classification.metric import Accuracy
from mmext.classification.tta import FlippedClassifier

__all__ = [
    'Accuracy', 'BatchCenterPad', 'BatchRandomCrop', 'BatchRandomFlip', 'CIFAR10', 'CIFAR100', 'Caltech101',
    'Classifier', 'FashionMNIST', 'FlippedClassifier', 'ImageFolder', 'ImagePreprocessor', 'MNIST', 'PackClassInputs',
    'RandomResizedCrop', 'SVHN', 'collate_images', 'create_classifier'
]
