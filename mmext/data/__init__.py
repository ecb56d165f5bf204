"""Reading of data, the same for every task."""

from mmext.data.loading import LoadImage
from mmext.data.suffixes import IMAGES

__all__ = ['IMAGES', 'LoadImage']
