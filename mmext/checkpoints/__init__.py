"""Checkpoints: one reader that runs nothing of a file, and what is looked at before one is trusted or written."""

from mmext.checkpoints.format import weights_of, write_weights
from mmext.checkpoints.read import read_checkpoint

__all__ = ['read_checkpoint', 'weights_of', 'write_weights']
