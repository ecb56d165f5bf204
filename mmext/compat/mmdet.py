"""Repairs of mmdet, and of the check of mmcv's version in mmdet and mmaction2."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from mmext.compat.notes import note


def add_loss_cls_to_ssd_head(module: ModuleType) -> None:
    """'SSDHead' object has no attribute 'loss_cls', at the first validation.

    https://github.com/open-mmlab/mmdetection/issues/11063, also 11305 and 11780.
    """
    head = module.SSDHead
    if hasattr(head, 'loss_cls') or 'loss_cls' in head.__init__.__code__.co_names:
        return
    head.loss_cls = None  # predict_by_feat only asks whether it has custom channels
    note(add_loss_cls_to_ssd_head, 'SSDHead can predict')


def order_category_ids_by_class(module: ModuleType) -> None:
    """Labels follow the order of the annotation file, and their names that of the classes: each class gets the other's.

    https://github.com/open-mmlab/mmdetection/issues/4167, also 1732 and 10896. It affects every data set and metric
    with classes=('dog', 'cat') and annotations whose categories are cat, dog.
    """
    index = module.COCO
    probe = index()
    probe.dataset = dict(categories=[dict(id=1, name='a'), dict(id=2, name='b')])
    if probe.get_cat_ids(cat_names=['b', 'a']) == [2, 1]:
        return
    get_cat_ids = index.get_cat_ids

    @functools.wraps(get_cat_ids)
    def in_order(self, cat_names=(), sup_names=(), cat_ids=()) -> list[int]:
        found = get_cat_ids(self, cat_names, sup_names, cat_ids)
        if isinstance(cat_names, str) or not cat_names:
            return found
        places = {name: place for place, name in enumerate(cat_names)}
        names = {category['id']: category['name'] for category in self.dataset['categories']}
        return sorted(found, key=lambda category: places[names[category]])

    index.get_cat_ids = in_order
    note(order_category_ids_by_class, 'labels are in the order of the classes')


@contextmanager
def accept_newer_mmcv(package: str) -> Iterator[None]:
    """mmdet 3.3 and mmaction2 1.2 refuse mmcv >= 2.2 and its OneDL fork at import.

    https://github.com/open-mmlab/mmdetection/issues/12312, https://github.com/open-mmlab/mmcv/issues/3096. They work
    with newer versions, so mmcv reports version 2.1.0 during their check if it is newer.
    """
    import mmcv

    true_version = mmcv.__version__
    newer = tuple(int(part) for part in true_version.split('.')[:2]) >= (2, 2)
    if newer:
        mmcv.__version__ = '2.1.0'
    try:
        yield
    finally:
        mmcv.__version__ = true_version
    if newer and hasattr(sys.modules.get(package), 'mmcv_maximum_version'):  # the OneDL fork of mmdet checks nothing
        note(accept_newer_mmcv, f'{package} accepts mmcv {true_version}')
