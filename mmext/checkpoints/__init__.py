"""Checkpoints: a reader that never runs code from a file, a writer, and checks of the content."""

from mmext.checkpoints.format import weights_of, write_weights
from mmext.checkpoints.read import read_checkpoint

__all__ = ['read_checkpoint', 'weights_of', 'write_weights']
