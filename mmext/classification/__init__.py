"""Classifiers on the backbones: what their parameters and FLOPs are printed for."""

from mmext.classification.classifier import Classifier

__all__ = ['Classifier']
