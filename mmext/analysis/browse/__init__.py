"""A page about a data set before training: samples after augmentation, class counts, and box sizes against anchors."""

from mmext.analysis.browse.page import write_browse_page
from mmext.analysis.browse.samples import Browsed, look_at

__all__ = ['Browsed', 'look_at', 'write_browse_page']
