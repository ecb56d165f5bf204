"""Reading of data, the same for every task."""

from mmext.data.loading import LoadImage

__all__ = ['LoadImage']
