"""Repairs of mmdet, and the version of mmcv that mmdet and mmaction2 ask for."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from mmext.compat.notes import note


def give_ssd_head_a_loss_cls(module: ModuleType) -> None:
    """'SSDHead' object has no attribute 'loss_cls', at the first validation.

    https://github.com/open-mmlab/mmdetection/issues/11063, also 11305 and 11780.
    """
    head = module.SSDHead
    if hasattr(head, 'loss_cls') or 'loss_cls' in head.__init__.__code__.co_names:
        return
    head.loss_cls = None  # predict_by_feat asks it for custom channels; None has none
    note(give_ssd_head_a_loss_cls, 'SSDHead can predict')


@contextmanager
def newer_mmcv_accepted(package: str) -> Iterator[None]:
    """mmdet 3.3 and mmaction2 1.2 refuse mmcv >= 2.2 and its OneDL fork at import.

    https://github.com/open-mmlab/mmdetection/issues/12312, https://github.com/open-mmlab/mmcv/issues/3096. Their code
    runs with it. They are shown 2.1.0 while their version check runs, if what is there is newer.
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
        note(newer_mmcv_accepted, f'{package} accepts mmcv {true_version}')
